"""How much the jobs train and answer: counts of items and epochs, before any machine is looked at."""
