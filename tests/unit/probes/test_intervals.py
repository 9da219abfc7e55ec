"""Intervals of AUROC and of the difference of two paired changes: they cover what is planted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from embedgrad.probes.intervals import auroc_interval, difference_of_changes, paired_mean, permutation_p, sign_flip_p
from embedgrad.reporting.analyses import auroc
from embedgrad.reporting.statistics import Paired, mcnemar


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


DROPS = (1.0, 0.0), (0.2, -0.1)
# A label given on 10 % of the items and on a quarter with an injection; the text prompt: on 10 % and on 75 %.
INJECTED = (-1.8, -0.95), (-1.8, 0.95)


@pytest.mark.parametrize("levels", [DROPS, INJECTED])
@pytest.mark.parametrize("same_items", [True, False])
def test_the_interval_of_a_difference_of_changes_covers_it(same_items, levels):
    chance, held, draws, n = np.random.default_rng(3), 0, 400, 30
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


@pytest.mark.parametrize("values", [[0.0] * 9, [0.3] * 9, [1.3 - 1.0, 2.3 - 2.0, 0.3], [0.5]])
def test_differences_without_spread_have_a_mean_and_no_certainty(values):
    assert paired_mean(values) == (pytest.approx(values[0]), None, None)


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (0, 1), (0, 6), (3, 9), (5, 5)])
def test_the_paired_permutation_test_of_single_steps_is_mcnemars(lost, won):
    assert sign_flip_p([-1] * lost + [0] * 7 + [1] * won) == pytest.approx(mcnemar(lost, won)[0], rel=1e-12)


def test_permutation_tests_by_hand():
    # Signs of 2, 1, 1: the sum is 4 or -4 in 2 of 8.
    assert sign_flip_p([2, 1, 1, 0]) == 0.25
    # All of one sample above all of the other: 2 of the 20 ways to choose 3 of 6.
    assert permutation_p([1, 1, 1], [-1, -1, -1]) == pytest.approx(0.1)
    assert permutation_p([0, 0], [0, 0, 0]) == pytest.approx(1)


def test_tests_of_no_difference_find_one_in_no_more_than_a_twentieth():
    """Two prompts that obey an injection alike, asked the same items, and asked others."""
    chance, draws, found = np.random.default_rng(5), 400, {"same items": 0, "others": 0}
    for _ in range(draws):
        hard = chance.normal(size=32)
        changes = [
            np.subtract(*(answered(chance, some, level) for level in (0.8, -1.5)), dtype=int).tolist()
            for some in (hard, hard, chance.normal(size=32))
        ]
        found["same items"] += sign_flip_p(np.subtract(changes[1], changes[0]).tolist()) < 0.05
        found["others"] += permutation_p(changes[0], changes[2]) < 0.05
    assert all(0.005 < one / draws < 0.07 for one in found.values()), found
