"""What a run will take, and what it lacks, before anything of it runs. Only ``machines`` needs torch."""
