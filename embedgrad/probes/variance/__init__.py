"""What a single split's result is worth: how much of a gain's spread is the items', the split's, the order's, the start's.

A run's interval over items answers one question: what of other items of the same half? It says nothing of another half to
train on, another order of the items or another start (``initial_displacement``). Where several runs of one cell differ in
these, a model of random effects tells them apart::

    gain of an item in a run = mean + item + split + item in split + order in split + displacement in order + rest

The variances are estimated by quadratic forms whose expectations are known, MINQUE(0) (Rao 1971; Searle, Casella and McCulloch
1992, Variance Components, ch. 11): unbiased also where a split's test half holds only some of the items. For a full table they
are those of the analysis of variance.
"""
