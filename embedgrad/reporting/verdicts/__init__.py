"""Whether a cell of the paper's table counts as replicated: today's rule, the first one beside it, and their statistics."""
