"""What an optimised prompt is worth elsewhere: carried over to another model, and put back into words."""
