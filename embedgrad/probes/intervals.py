"""Intervals and exact tests that the probes need beside those of :mod:`embedgrad.reporting.statistics`."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multivariate_hypergeom, norm, ttest_1samp

from embedgrad.reporting.statistics import ALPHA, Paired


def paired_mean(differences: Sequence[float]) -> tuple[float, tuple[float, float] | None, float | None]:
    """Mean of the items' differences with the 95 % interval and the p of Student's paired t test.

    Interval and p are None where the differences do not spread (to rounding) or are fewer than two: Student's test would call
    that certain, of two items as of a thousand.
    """
    values = np.asarray(differences, dtype=float)
    mean = float(values.mean())
    if len(values) < 2 or np.ptp(values) <= 1e-9 * np.abs(values).max():
        return mean, None, None
    test = ttest_1samp(values, 0)
    low, high = test.confidence_interval(1 - ALPHA)
    return mean, (float(low), float(high)), float(test.pvalue)


def sign_flip_p(differences: Sequence[int]) -> float:
    """Two-sided p of Fisher's paired permutation test: under no difference, each item's could as well have the other sign.

    Exact: the distribution of the sum over all 2^n signs, by convolution. Of differences of -1, 0 and 1 it is the exact McNemar
    test.

    Args:
        differences: whole numbers, item by item, such as one change less another.
    """
    sizes = [abs(one) for one in differences if one]
    chances = np.ones(1)  # of the sums -reach, -reach + 2, ..., reach
    for size in sizes:
        wider = np.zeros(len(chances) + size)
        wider[: len(chances)] += chances / 2
        wider[size:] += chances / 2
        chances = wider
    sums = 2 * np.arange(len(chances)) - sum(sizes)
    return min(1.0, float(chances[np.abs(sums) >= abs(sum(differences))].sum()))


def permutation_p(one: Sequence[int], other: Sequence[int]) -> float:
    """Two-sided p of Fisher's permutation test on the means of two samples: any item could as well be in the other sample.

    Exact: all splits of the pooled values, by the multivariate hypergeometric distribution.

    Args:
        one, other: values of -1, 0 or 1 of each item, such as gains.
    """
    pooled, size = [*one, *other], len(one)
    counts = [pooled.count(value) for value in (-1, 0, 1)]
    fewer, more = np.meshgrid(*(np.arange(counts[place] + 1) for place in (0, 2)), indexing="ij")
    drawn = np.stack([fewer, size - fewer - more, more], axis=-1)
    chances = multivariate_hypergeom.pmf(drawn, counts, size)
    # The difference of the means, times the number of items and both sizes: whole numbers, so that ties are ties.
    apart = np.abs((more - fewer) * len(pooled) - sum(pooled) * size)
    return min(1.0, float(chances[apart >= abs(sum(one) * len(pooled) - sum(pooled) * size)].sum()))


def difference_of_changes(
    one: tuple[Sequence[bool], Sequence[bool]], other: tuple[Sequence[bool], Sequence[bool]], *, same_items: bool
) -> tuple[float, tuple[float, float]]:
    """How much more ``one`` changes than ``other``, in points, and its 95 % interval.

    Each change is of answers to the same items (before, after) and has Newcombe's interval; the two are joined by :func:`mover`,
    with the correlation of the items' changes where both are of the same items.

    Args:
        one: verdicts before and after, item by item.
        other: likewise, of other items or of the same in the same order.
        same_items: which of the two.
    """
    pairs = [Paired.of(*verdicts) for verdicts in (one, other)]
    related = (
        _correlation(*([after - before for before, after in zip(*each, strict=True)] for each in (one, other)))
        if (same_items)
        else 0.0
    )
    first, second = pairs
    return first.points - second.points, mover(
        first.points, first.interval, second.points, second.interval, correlation=related
    )


def mover(
    first: float, first_ends: Sequence[float], second: float, second_ends: Sequence[float], correlation: float = 0.0
) -> tuple[float, float]:
    """95 % interval of ``first`` less ``second`` from that of each: MOVER (Zou and Donner 2008, Stat. Med. 27:1693-1702)."""
    (first_low, first_high), (second_low, second_high) = first_ends, second_ends

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(a**2 - 2 * correlation * a * b + b**2, 0.0))

    apart = first - second
    low, high = reach(first - first_low, second_high - second), reach(first_high - first, second - second_low)
    return apart - low, apart + high


def _correlation(one: Sequence[int], other: Sequence[int]) -> float:
    if len(set(one)) < 2 or len(set(other)) < 2:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def auroc_interval(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """95 % interval of an AUROC, also where it is 0 or 1: method 5 of Newcombe (2006, Stat. Med. 25:559-573).

    It inverts Hanley and McNeil's variance with half the number of all in both places, as Wilson's interval inverts that of a
    proportion.
    """
    z, size = float(norm.ppf(1 - ALPHA / 2)), (positives + negatives) / 2

    def variance(true: float) -> float:
        terms = 1 + (size - 1) * ((1 - true) / (2 - true) + true / (1 + true))
        return true * (1 - true) * terms / (positives * negatives)

    def beyond(true: float) -> float:
        return (true - area) ** 2 - z**2 * variance(true)

    inner = min(
        max(area, 1e-9), 1 - 1e-9
    )  # at 0 and 1 the variance is 0 itself: a root, but not the end that is sought
    low = 0.0 if area <= 0 else float(brentq(beyond, 0.0, inner))
    high = 1.0 if area >= 1 else float(brentq(beyond, inner, 1.0))
    return low, high
