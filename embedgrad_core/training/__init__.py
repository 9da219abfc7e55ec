"""Eq. 7: the prompt's vectors by gradient descent; ``optimization`` is where to begin, ``loop`` what rival methods run too."""
