"""What is computed beside Table 2: functions of models, prompts and items; the commands only read files and write them."""
