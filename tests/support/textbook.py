"""Statistics written from their definitions, beside none of the suite's own code: what the suite's are held against."""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import norm

EXACT = 1e-9


def wilson(correct, n, alpha=0.05):
    """The two proportions that a score test at ``alpha`` just does not reject (Wilson 1927): roots of its equation."""
    z2, share = norm.ppf(1 - alpha / 2) ** 2, correct / n

    def beyond(p):
        return (share - p) ** 2 * n - z2 * p * (1 - p)

    low = 0.0 if correct == 0 else brentq(beyond, 0.0, min(share, 1 - 1e-12), xtol=1e-15, rtol=1e-14)
    return low, 1.0 if correct == n else brentq(beyond, max(share, 1e-12), 1.0, xtol=1e-15, rtol=1e-14)


def newcombe(both, only_before, only_after, neither, alpha=0.05):
    """Method 10 of Newcombe (1998), Stat. Med. 17:2635, Section 2, in points."""
    n = both + only_before + only_after + neither
    before, after = both + only_before, both + only_after
    (low, high), (low_after, high_after) = wilson(before, n, alpha), wilson(after, n, alpha)
    p, q = before / n, after / n
    product = before * (n - before) * after * (n - after)
    top = both * neither - only_before * only_after
    top = max(top - n / 2, 0) if top > 0 else top
    phi = top / math.sqrt(product) if product else 0
    down = math.sqrt(max((q - low_after) ** 2 - 2 * phi * (q - low_after) * (high - p) + (high - p) ** 2, 0))
    up = math.sqrt(max((high_after - q) ** 2 - 2 * phi * (high_after - q) * (p - low) + (p - low) ** 2, 0))
    return 100 * max(q - p - down, -1), 100 * min(q - p + up, 1)


def mcnemar(one, other):
    """Exact two-sided p: a sum of whole numbers."""
    n, least = one + other, min(one, other)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(least + 1)) / 2**n) if n else 1.0


def two_samples(correct, n, other, m, alpha=0.05):
    """Method 10 of Newcombe (1998), Stat. Med. 17:873: the difference of two independent proportions, in points."""
    (low, high), (other_low, other_high) = wilson(correct, n, alpha), wilson(other, m, alpha)
    p, q = correct / n, other / m
    return (
        100 * (p - q - math.hypot(p - low, other_high - q)),
        100 * (p - q + math.hypot(high - p, q - other_low)),
    )


def mover(one, ends, other, other_ends, related=0.0):
    """Zou and Donner (2008): the difference of two estimates from their intervals."""

    def reach(a, b):
        return math.sqrt(max(a * a - 2 * related * a * b + b * b, 0))

    gap = one - other
    return gap - reach(one - ends[0], other_ends[1] - other), gap + reach(ends[1] - one, other - other_ends[0])


def beta_binomial(k, m, a, b):
    """Log probability of k of m, the chance being Beta(a, b)."""
    choose = gammaln(m + 1) - gammaln(k + 1) - gammaln(m - k + 1)
    own, whole = (gammaln(x) + gammaln(y) - gammaln(x + y) for x, y in ((a, b), (k + a, m - k + b)))
    return choose + whole - own


def quantile(values, share):
    """Linear between the two nearest of the ordered values (Hyndman and Fan's type 7)."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


def area(scores, truth):
    """Share of pairs of a positive and a negative that are in order, ties counted half: over all pairs."""
    pairs = [
        (x, y)
        for x, one in zip(scores, truth, strict=True)
        for y, other in zip(scores, truth, strict=True)
        if one > other
    ]
    return sum((x > y) + (x == y) / 2 for x, y in pairs) / len(pairs)


def quadratic(values, level):
    """Sum over the levels of a factor of the squared sum of the centred values: one form of MINQUE(0), as a dense matrix."""
    same = (level[:, None] == level[None, :]).astype(float)
    left = values - np.mean(values)
    return left @ same @ left
