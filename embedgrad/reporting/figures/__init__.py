"""The figures: the same bytes whenever the same numbers are drawn."""
