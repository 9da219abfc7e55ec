"""What an optimised prompt is worth on another model."""
