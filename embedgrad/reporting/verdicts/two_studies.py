"""Two studies of one truth: the paper's printed cell and ours, both samples.

The paper prints how many items were right before and after, not which. Its pairs are taken to be as correlated as ours.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from scipy.optimize import brentq
from statsmodels.stats.proportion import confint_proportions_2indep

from embedgrad.reporting.statistics import Paired, power_of_gain

# The power that makes a small telescope (Simonsohn 2015, Psychol. Sci. 26:559-569).
TELESCOPE = 1 / 3


@dataclass(frozen=True)
class Printed:
    """A printed cell: percentages as text, and how many items they were measured on.

    Attributes:
        before, after: as printed, in percent.
        n: items.
    """

    before: str
    after: str
    n: int

    @classmethod
    def of(cls, paper: dict[str, str], n: int) -> Self:
        """``paper`` as ``Cell.paper`` has it."""
        return cls(paper["before"], paper["after"], n)

    @property
    def points(self) -> float:
        """After - before in percentage points, as printed."""
        return float(self.after) - float(self.before)

    def counts(self) -> tuple[int, int]:
        """Right answers before and after, to the nearest whole item."""
        before, after = (min(round(float(side) / 100 * self.n), self.n) for side in (self.before, self.after))
        return before, after

    def pairs(self, phi: float) -> Paired:
        """A paired table with these counts whose correlation is as near to ``phi`` as whole items allow."""
        before, after = self.counts()
        n = self.n
        both = before * after / n + phi * math.sqrt(before * (n - before) * after * (n - after)) / n
        both = min(max(round(both), before + after - n, 0), before, after)
        return Paired(both, before - both, after - both, n - before - after + both)


def difference_of_proportions(ours: tuple[int, int], printed: tuple[int, int], alpha: float) -> tuple[float, float]:
    """Interval of ours - printed in points: Newcombe's hybrid score interval for independent samples (statsmodels).

    Args:
        ours: right answers and items.
        printed: the same of the paper.
        alpha: one minus the interval's coverage.
    """
    low, high = confint_proportions_2indep(*ours, *printed, method="newcomb", compare="diff", alpha=alpha)
    return 100 * float(low), 100 * float(high)


def difference_of_gains(ours: Paired, printed: Paired, alpha: float) -> tuple[float, float]:
    """Interval of our gain - the printed gain in points, for two independent samples of pairs.

    The two Newcombe intervals are joined by MOVER, the method of variance estimates recovery (Zou and Donner 2008,
    Stat. Med. 27:1693-1702).
    """
    (our_low, our_high), (low, high) = ours.interval_at(alpha), printed.interval_at(alpha)
    difference = ours.points - printed.points
    return (
        difference - math.hypot(ours.points - our_low, high - printed.points),
        difference + math.hypot(our_high - ours.points, printed.points - low),
    )


@lru_cache(maxsize=4096)
def telescope(n: int, discordant: int, of: int) -> float:
    """d33 in points: the true gain that n items find in a third of repeats (exact McNemar test at .05).

    A repeat whose gain is surely smaller is no support: a study like the first could hardly have seen such an effect.

    Args:
        n: items of the first study.
        discordant: pairs that differ, of ``of`` pairs; a gain above that share is taken to be without losses.
        of: pairs.

    Returns:
        100 where even a gain of all items would not do (fewer than 6 items).
    """
    share = discordant / of

    def short(gain: float) -> float:
        return power_of_gain(n, gain, max(share, gain)) - TELESCOPE

    return 100 * float(brentq(short, 1e-9, 1.0, xtol=1e-12)) if short(1.0) > 0 else 100.0
