"""What a run needs and is missing, before it starts. Only ``machines`` needs torch."""
