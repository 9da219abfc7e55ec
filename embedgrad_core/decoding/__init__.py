"""Eq. 8-9: answers by greedy decoding from the prompt's vectors; ``answers`` is where to begin."""
