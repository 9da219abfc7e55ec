"""What a run has on disk, read back and checked."""
