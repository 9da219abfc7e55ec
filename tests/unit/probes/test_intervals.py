"""Intervals of AUROC and of the difference of two paired changes: they cover what is planted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from embedgrad.probes.intervals import auroc_interval, difference_of_changes
from embedgrad.reporting.analyses import auroc
from embedgrad.reporting.statistics import Paired


def test_the_interval_of_an_area_covers_it():
    chance, held, draws = np.random.default_rng(0), 0, 400
    true = norm.cdf(1 / np.sqrt(2))
    for _ in range(draws):
        scores = np.concatenate([chance.normal(1, 1, 24), chance.normal(0, 1, 24)])
        low, high = auroc_interval(auroc(scores, [True] * 24 + [False] * 24), 24, 24)
        held += low <= true <= high
    assert 0.92 <= held / draws <= 0.98


@given(st.floats(0, 1), st.integers(2, 60), st.integers(2, 60))
def test_the_interval_of_an_area_lies_around_it_and_is_never_a_point(area, positives, negatives):
    low, high = auroc_interval(area, positives, negatives)
    assert 0 <= low <= area <= high <= 1
    assert high - low > 0.01
    mirrored = auroc_interval(1 - area, positives, negatives)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-6)


def answered(chance, hard, level):
    """Right or wrong; the items that are hard are hard every time."""
    return (chance.random(len(hard)) < norm.cdf(level + hard)).tolist()


@pytest.mark.parametrize("same_items", [True, False])
def test_the_interval_of_a_difference_of_changes_covers_it(same_items):
    chance, held, draws, n = np.random.default_rng(3), 0, 400, 30
    levels = (1.0, 0.0), (0.2, -0.1)
    rate = [[norm.cdf(level / np.sqrt(2)) for level in pair] for pair in levels]
    true = 100 * ((rate[0][1] - rate[0][0]) - (rate[1][1] - rate[1][0]))
    for _ in range(draws):
        hard = chance.normal(size=n)
        own = [hard, hard if same_items else chance.normal(size=n)]
        pairs = [tuple(answered(chance, some, level) for level in pair) for some, pair in zip(own, levels, strict=True)]
        low, high = difference_of_changes(*pairs, same_items=same_items)[1]
        held += low <= true <= high
    assert 0.92 <= held / draws <= 0.99


def test_a_side_that_does_not_change_leaves_the_others_own_interval_and_its_own_doubt():
    before, after, still = [True] * 20, [True] * 12 + [False] * 8, [False] * 20
    points, (low, high) = difference_of_changes((before, after), (still, still), same_items=True)
    alone = Paired.of(before, after)
    assert points == alone.points == -40
    assert low < alone.interval[0]
    assert high > alone.interval[1]
