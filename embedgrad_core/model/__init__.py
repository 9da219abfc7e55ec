"""The frozen language model: where it comes from, what it costs, and how it computes. ``costs`` needs no torch."""
