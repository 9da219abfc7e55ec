"""What a job needs of the machine it runs on: GPUs, locks, progress, how it ends, what it was made with."""
