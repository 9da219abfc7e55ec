"""From a pool of items to train, dev and test, with a certificate; ``prepare`` is where to begin."""
