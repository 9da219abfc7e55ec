"""What a run says to a claim: a number with its interval, the same before any step, and what would refute it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scipy import stats

from embedgrad.reporting.results.collected import Gain, Outcome, analyses_of, whole_tasks
from embedgrad.reporting.statistics import ALPHA, wilson

HOLDS, FAILS, OPEN = "holds", "does not hold", "–"
COMPATIBLE, INCONCLUSIVE, NOT_TESTABLE = "compatible", "inconclusive", "not testable"


@dataclass(frozen=True)
class Measured:
    """One number of a run.

    Attributes:
        value: the number; None only where ``gate`` says why there is none.
        interval: its 95 % interval, where it is of a sample.
        tolerance: what still counts as the printed number, where the claim says "approximately".
        untouched: the same of the untouched text prompt: what is true of it needs no optimisation.
        control: what a control gives, in words.
        gate: why the number does not bear on the claim; empty where it does.
    """

    value: float | None
    interval: tuple[float, float] | None = None
    tolerance: tuple[float, float] | None = None
    untouched: float | None = None
    control: str = ""
    gate: str = ""

    @classmethod
    def share(cls, hits: int, of: int, **more: float | str | None) -> Self | None:
        """A proportion with Wilson's interval; None of nothing."""
        return cls(hits / of, wilson(hits, of), **more) if of else None  # type: ignore[arg-type]

    @classmethod
    def mean(cls, values: Sequence[float], **more: float | str | None) -> Self | None:
        """A mean with Student's interval; None of nothing, and without interval of one."""
        if not values:
            return None
        mean, n = math.fsum(values) / len(values), len(values)
        half = float(stats.t.ppf(1 - ALPHA / 2, n - 1) * stats.sem(values)) if n > 1 else None
        interval = None if half is None else (mean - half, mean + half)
        return cls(mean, interval, **more)  # type: ignore[arg-type]

    @classmethod
    def smallest(
        cls, values: Sequence[float], intervals: Sequence[tuple[float, float]], **more: float | str | None
    ) -> Self:
        """The smallest of several means, one at least, from their estimates and 95 % intervals, alike or not, correlated or not.

        All of them are above a bound where each one is, so the lowest lower end needs no correction (an intersection-union test;
        Berger 1982, Technometrics 24:295-300). That one of them lies below a bound is a choice among all: each upper half is
        widened to 1 - 0.025/m (Bonferroni, by the normal distribution) before the lowest is taken.
        """
        widened = float(stats.norm.ppf(1 - ALPHA / 2 / len(values)) / stats.norm.ppf(1 - ALPHA / 2))
        highs = (value + widened * max(high - value, 0.0) for value, (_, high) in zip(values, intervals, strict=True))
        interval = min(low for low, _ in intervals), min(highs)
        return cls(min(values), interval, **more)  # type: ignore[arg-type]

    def verdict(self, relation: str, printed: float, unit: float) -> str:
        """The word on a claim.

        Args:
            relation: ``=``, ``>`` or ``<``.
            printed: the paper's number.
            unit: of its last digit.
        """
        if self.gate or self.value is None:
            return NOT_TESTABLE
        return judge(relation, self.value, printed, unit, self.interval, self.tolerance)


def judge(
    relation: str,
    value: float,
    printed: float,
    unit: float,
    interval: tuple[float, float] | None = None,
    tolerance: tuple[float, float] | None = None,
) -> str:
    """Whether a number is as a claim says.

    ``=`` without an interval holds to the printed digits or within ``tolerance``; with one, the printed number is compatible with
    it or the claim fails. ``>`` and ``<`` hold or fail where all of the interval does, else they are inconclusive; without an
    interval they are strict.
    """
    if relation == "=":
        if interval:
            return COMPATIBLE if interval[0] <= printed <= interval[1] else FAILS
        low, high = tolerance or (printed - unit / 2 - 1e-9, printed + unit / 2 + 1e-9)
        at = printed if tolerance else value
        return HOLDS if low <= at <= high else FAILS
    sign = 1 if relation == ">" else -1
    low, high = interval or (value, value)
    if sign == -1:
        low, high = -high, -low
    if low > sign * printed:
        return HOLDS
    return FAILS if high <= sign * printed else INCONCLUSIVE


@dataclass(frozen=True)
class Run:
    """The metrics of each cell's lowest seed, the gain over all of its seeds, and where its analyses lie."""

    metrics: dict[tuple[str, str], dict]
    gains: dict[tuple[str, str], Gain]
    outcomes: Sequence[Outcome]
    folder: Path

    def analyses(self, name: str, read: Callable[[Path], dict], tasks: Sequence[str] = ()) -> list[dict]:
        """All files of an analysis, which must be of their cells' runs; of these tasks, if any are named."""
        wanted = [outcome for outcome in self.outcomes if not tasks or outcome.cell.task in tasks]
        return [analysis for *_, analysis in analyses_of(wanted, self.folder, name, read)]

    def whole_tasks(self) -> dict[tuple[str, str], dict]:
        """The cells that are no level of a task whose own cell is there: each answer counts once."""
        wanted = {
            (outcome.cell.dataset, outcome.cell.model)
            for outcome in whole_tasks([one for one in self.outcomes if one.metrics])
        }
        return {key: metrics for key, metrics in self.metrics.items() if key in wanted}
