"""EmbedGrad among the methods that the paper places it among: what a run has of them, read, counted and printed."""
