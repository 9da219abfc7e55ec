"""What is in print: the paper's table by itself, and what others measured on the same untouched weights."""
