"""What the text prompt scores and nothing is trained for: the ladder with its rungs, and protocol search with its variants."""
