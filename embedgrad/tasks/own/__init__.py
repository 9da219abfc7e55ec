"""Data of one's own as the suite's items."""
