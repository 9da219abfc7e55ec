"""The methods that the paper places itself among, under EmbedGrad's own loss, loop, decoder and graders.

One file a family in ``families``. A gradient rival says what it trains (``begin``) and how its trained tensors answer (``serve``);
the loop, the order of items, the early stop and the decoder are those of :mod:`embedgrad_core`.
"""
