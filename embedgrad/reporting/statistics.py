"""The statistics of the suite: intervals, paired tests, power. Proportions are fractions 0-1, never percent.

Notation of the paired table: ``only_before`` items were right before and wrong after, ``only_after`` the reverse;
both together are the discordant pairs, the only ones that McNemar's test looks at.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from scipy.stats import binom, binomtest, norm, t
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

ALPHA = 0.05
POWER = 0.80
DISCORDANCE = 0.20


def wilson(correct: int, n: int, alpha: float = ALPHA) -> tuple[float, float]:
    """Wilson's score interval of a proportion, 95 % by default (Wilson 1927; statsmodels)."""
    if not 0 <= correct <= n or n < 1:
        raise ValueError(f"{correct} of {n} is no proportion")
    low, high = proportion_confint(correct, n, alpha=alpha, method="wilson")
    # The ends are exact at 0 of n and n of n; rounding must not put them a hair off.
    return (0.0 if correct == 0 else float(low)), (1.0 if correct == n else float(high))


def mcnemar(only_before: int, only_after: int) -> tuple[float, float]:
    """Two-sided p of the exact conditional McNemar test and its mid-p (Fagerland, Lydersen and Laake 2013)."""
    discordant = only_before + only_after
    if discordant == 0:
        return 1.0, 1.0
    exact = float(binomtest(only_before, discordant, 0.5).pvalue)
    point = float(binom.pmf(only_before, discordant, 0.5))
    return exact, 1 - point / 2 if only_before == only_after else exact - point


@dataclass(frozen=True)
class Paired:
    """The same items answered twice.

    Attributes:
        both: items right both times.
        only_before: right before and wrong after.
        only_after: the reverse.
        neither: wrong both times.
    """

    both: int
    only_before: int
    only_after: int
    neither: int

    @classmethod
    def of(cls, before: Iterable[bool], after: Iterable[bool]) -> Self:
        """Count the pairs; both in the order of the items."""
        pairs = Counter(zip(before, after, strict=True))
        return cls(*(pairs[key] for key in ((True, True), (True, False), (False, True), (False, False))))

    @property
    def n(self) -> int:
        """Items."""
        return self.both + self.only_before + self.only_after + self.neither

    @property
    def points(self) -> float:
        """After - before in percentage points."""
        return 100 * (self.only_after - self.only_before) / self.n

    @property
    def phi(self) -> float:
        """The pairs' correlation, -1 to 1; 0 when a margin is empty."""
        return self._correlation(self.both * self.neither - self.only_before * self.only_after)

    def _correlation(self, numerator: float) -> float:
        n, before, after = self.n, self.both + self.only_before, self.both + self.only_after
        margins = before * (n - before) * after * (n - after)
        return numerator / math.sqrt(margins) if margins else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of ``points``; see ``interval_at``."""
        return self.interval_at(ALPHA)

    def interval_at(self, alpha: float) -> tuple[float, float]:
        """Interval of ``points``: the hybrid score interval for paired proportions, method 10 of Newcombe (1998).

        Stat. Med. 17:2635-2650. The two Wilson intervals are joined with the correlation of the pairs, which is shrunk
        by n/2 in its numerator when positive and is 0 when a margin is empty.
        """
        n, before, after = self.n, self.both + self.only_before, self.both + self.only_after
        low_before, high_before = wilson(before, n, alpha)
        low_after, high_after = wilson(after, n, alpha)
        p_before, p_after = before / n, after / n
        numerator: float = self.both * self.neither - self.only_before * self.only_after
        if numerator > 0:
            numerator = max(numerator - n / 2, 0)
        phi = self._correlation(numerator)

        def reach(one: float, other: float) -> float:
            # |phi| <= 1 keeps this non-negative but for rounding.
            return math.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))

        gain = p_after - p_before
        low = gain - reach(p_after - low_after, high_before - p_before)
        high = gain + reach(high_after - p_after, p_before - low_before)
        return 100 * max(low, -1.0), 100 * min(high, 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p over one table, in the order given (statsmodels)."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if len(p_values) else []


def surely(points: Sequence[float], p_values: Sequence[float]) -> list[int]:
    """What the tests of one table say: 1 for a number surely above 0, -1 for one surely below, 0 where nothing can be told.

    Args:
        points: what was tested, for its sign.
        p_values: of each, before Holm's correction.
    """
    adjusted = holm(p_values)
    return [int(np.sign(point)) if p < ALPHA else 0 for point, p in zip(points, adjusted, strict=True)]


def power_of_gain(n: int, gain: float, discordance: float) -> float:
    """Exact unconditional power of the exact McNemar test at .05 for a gain of ``gain`` with this share of discordant pairs.

    The number of discordant pairs is binomial(n, discordance), and a share of (discordance + gain) / (2 discordance)
    of them is won. Both tails count, as the test is two-sided.

    Args:
        n: items.
        gain: true difference of the proportions, after - before.
        discordance: true share of discordant pairs, at least ``|gain|``.

    Raises:
        ValueError: ``|gain|`` exceeds the discordance.
    """
    if abs(gain) > discordance or discordance > 1:
        raise ValueError(f"a gain of {gain} needs at least as many discordant pairs, not {discordance}")
    if discordance == 0:
        return 0.0
    won = min((discordance + gain) / (2 * discordance), 1.0)
    pairs = np.arange(1, n + 1)
    k = _rejected_up_to(n)
    rejected = binom.cdf(k, pairs, won) + binom.sf(pairs - k - 1, pairs, won)
    return float(np.sum(binom.pmf(pairs, n, discordance) * np.where(k >= 0, rejected, 0.0)))


@lru_cache(maxsize=64)
def _rejected_up_to(n: int) -> np.ndarray:
    """Rejection regions of 1 to n discordant pairs: k of one kind or fewer, k the largest with 2 P(X <= k) < ALPHA, else -1."""
    pairs = np.arange(1, n + 1)
    k = binom.ppf(ALPHA / 2, pairs, 0.5)
    return np.where(2 * binom.cdf(k, pairs, 0.5) < ALPHA, k, k - 1)


def best_case_power(n: int, gain: float) -> float:
    """Power for ``gain`` in the pairing that favours it most: no item changes against it, discordance = ``|gain|``."""
    return power_of_gain(n, gain, abs(gain))


def smallest_significant_gain(alpha: float = ALPHA) -> int:
    """Fewest items that must be won, none lost, for an exact McNemar p below alpha: 2 * 0.5^k < alpha; 6 at .05."""
    return math.floor(1 - math.log2(alpha)) + 1


def detectable_gain(n: int, discordance: float = DISCORDANCE) -> float | None:
    """Smallest gain that McNemar's test finds with 80 % power; None if even gain = discordance is too small.

    Approximation of Connor (1987, Biometrics 43:207-211): n = (z_a sqrt(psi) + z_b sqrt(psi - d^2))^2 / d^2, solved
    for d in closed form. It treats discordance as fixed and n as large; ``power_of_gain`` is exact.
    """
    z_alpha, z_beta = norm.ppf(1 - ALPHA / 2), norm.ppf(POWER)
    # d sqrt(n) - z_a sqrt(psi) = z_b sqrt(psi - d^2), squared: a quadratic in d whose larger root is the solution.
    a, b, c = n + z_beta**2, math.sqrt(n * discordance) * z_alpha, discordance * (z_alpha**2 - z_beta**2)
    gain = (b + math.sqrt(b**2 - a * c)) / a
    return float(gain) if gain <= discordance else None


@dataclass(frozen=True)
class Crossed:
    """A mean over seeds and items, in percentage points, and what varies.

    Attributes:
        mean: over all.
        interval: 95 %.
        p: two-sided, of no gain.
        items, seeds, rest: standard deviations of the items' own gains, of the seeds', and of what is left, which holds the
            interaction of both; 0 where the estimate of a variance is negative.
    """

    mean: float
    interval: tuple[float, float]
    p: float
    items: float
    seeds: float
    rest: float


def crossed(gains: Sequence[Sequence[float]]) -> Crossed:
    """Mixed model of the mean gain, seeds and items as crossed random effects, by the analysis of variance of a full table.

    An item that is hard is hard for every seed, and a seed that went well went well for every item: neither the cells of the
    table nor its rows are independent outcomes. The variance of the mean is (MS_items + MS_seeds - MS_rest) / (items · seeds), with
    Satterthwaite's degrees of freedom; a component that comes out negative counts as 0, and its mean square is left out
    (Searle, Casella and McCulloch 1992, Variance Components, ch. 4). Where nothing varies, the interval is as wide as a paired
    difference's of one seed can be (Newcombe's of two uncorrelated proportions of 0 or 1), and p is the sign test's of its items.

    Args:
        gains: one row per seed, one column per item: after minus before, each -1, 0 or 1; two of each at least.

    Raises:
        ValueError: fewer than two seeds or items.
    """
    table = 100 * np.asarray(gains, dtype=float)
    seeds, items = table.shape
    if seeds < 2 or items < 2:
        raise ValueError(f"{seeds} seeds and {items} items; a mixed model needs two of each")
    mean, by_seed, by_item = table.mean(), table.mean(axis=1), table.mean(axis=0)
    frees = {"items": items - 1, "seeds": seeds - 1, "rest": (items - 1) * (seeds - 1)}
    rest = table - by_seed[:, None] - by_item[None, :] + mean
    squares = {
        "items": seeds * float(((by_item - mean) ** 2).sum()) / frees["items"],
        "seeds": items * float(((by_seed - mean) ** 2).sum()) / frees["seeds"],
        "rest": float((rest**2).sum()) / frees["rest"],
    }
    parts = {
        "items": max(squares["items"] - squares["rest"], 0.0) / seeds,
        "seeds": max(squares["seeds"] - squares["rest"], 0.0) / items,
        "rest": squares["rest"],
    }
    used = [name for name in ("items", "seeds") if parts[name] > 0] or ["rest"]
    terms = {name: squares[name] for name in used} | ({"rest": -squares["rest"]} if len(used) == 2 else {})
    total = sum(terms.values())
    error = math.sqrt(total / (items * seeds))
    if error == 0:  # every item gains alike with every seed, who then say no more than one
        half = 100 * math.sqrt(2) * (1 - wilson(items, items)[0])
        low, high = max(-100.0, float(mean) - half), min(100.0, float(mean) + half)
        return Crossed(float(mean), (low, high), min(1.0, 2.0 ** (1 - items)) if mean else 1.0, 0.0, 0.0, 0.0)
    free = total**2 / sum(value**2 / frees[name] for name, value in terms.items())
    half = float(t.ppf(1 - ALPHA / 2, free)) * error
    p = 2 * float(t.sf(abs(mean) / error, free))
    return Crossed(
        float(mean), (float(mean) - half, float(mean) + half), p, *(math.sqrt(parts[name]) for name in frees)
    )


def fieller(a: float, v: float, b: float, w: float, c: float = 0.0) -> tuple[float, float] | None:
    """95 % interval of a/b, Fieller's (1954, J. R. Stat. Soc. B 16:175-185); None where it is not bounded.

    Args:
        a: an estimate, with variance ``v``.
        b: another one, with variance ``w``.
        c: their covariance, 0 where they are independent.
    """
    z2 = float(norm.ppf(1 - ALPHA / 2)) ** 2
    lead = b * b - z2 * w
    if lead <= 0:
        return None
    middle = a * b - z2 * c
    root = math.sqrt(max(middle * middle - lead * (a * a - z2 * v), 0.0))
    return (middle - root) / lead, (middle + root) / lead


def ratio_of_means(above: Sequence[float], below: Sequence[float]) -> tuple[float | None, tuple[float, float] | None]:
    """The mean of ``above`` over the mean of ``below``, both of the same items, and Fieller's interval of the pairs.

    Returns:
        The ratio, None where the mean below is 0; its interval, None where the mean below cannot be told from 0 or there are fewer
        than two items. Both are None where all items have the same above (to rounding), such as none at all: without spread
        Fieller's interval would be a point.
    """
    one, other = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    if not len(one) or other.mean() == 0:
        return None, None
    a, b = float(one.mean()), float(other.mean())
    if len(one) < 2:
        return a / b, None
    if np.ptp(one) <= 1e-9 * np.abs(one).max():
        return None, None
    (v, c), (_, w) = (np.cov(one, other) / len(one)).tolist()
    return a / b, fieller(a, v, b, w, c)
