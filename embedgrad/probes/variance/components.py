"""Variances of random effects by MINQUE(0), and how sure they are."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.sparse import csr_array

from embedgrad.reporting.statistics import ALPHA

REST = "rest"
DRAWS = 1000
# Outcomes that are drawn at a time.
BLOCK = 4_000_000


@dataclass(frozen=True)
class Errors:
    """How sure estimates of variances are.

    Attributes:
        freedom: degrees of freedom of the mean's variance, Satterthwaite's (1946, Biometrics Bulletin 2:110-114): 2 V² / Var(V).
        intervals: 95 % intervals of the standard deviations, in the units of the outcomes; no upper end where so few levels
            bound none.
    """

    freedom: float
    intervals: Mapping[str, tuple[float, float | None]]


class Design:
    """Which outcomes share which levels; all that estimates and their errors need of a table but its values."""

    def __init__(self, factors: Mapping[str, np.ndarray]) -> None:
        """Of factors: by name the level of each outcome, (N,) whole numbers from 0; as :func:`identifiable` leaves them."""
        self.names = [*factors, REST]
        self.count = len(next(iter(factors.values())))
        rows = np.arange(self.count)
        self._members = {name: csr_array((np.ones(self.count), (codes, rows))) for name, codes in factors.items()}
        self._expected = expected_forms(factors)
        squares = {name: float((level_sizes(codes) ** 2).sum()) for name, codes in factors.items()} | {REST: self.count}
        self._shares = {name: some / self.count**2 for name, some in squares.items()}

    def estimates(self, values: np.ndarray) -> dict[str, float]:
        """MINQUE(0) of the variances of crossed and nested random effects.

        Args:
            values: (N,) outcomes.

        Returns:
            The variance of each factor and of the ``rest``, in squared units of ``values``; a negative estimate is kept.
        """
        return {name: float(value) for name, (value,) in self.components(values[:, None]).items()}

    def components(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """MINQUE(0) of many tables at once: ``values`` is (N, tables), each result (tables,)."""
        left = values - values.mean(axis=0)
        forms = [((members @ left) ** 2).sum(axis=0) for members in self._members.values()] + [(left**2).sum(axis=0)]
        return dict(zip(self.names, np.linalg.solve(self._expected, np.array(forms)), strict=True))

    def of_mean(self, found: Mapping[str, float]) -> float:
        """The variance of the mean of all outcomes; a negative component counts as 0."""
        return sum(max(found[name], 0.0) * share for name, share in self._shares.items())

    def errors(self, found: Mapping[str, float], seed: int = 0) -> Errors:
        """How sure the estimates are, from tables drawn from normal effects with the variances found.

        An interval holds those standard deviations under which the estimate is in neither tail of its distribution: a parametric
        bootstrap test, inverted, while the other components stay at their estimates. Percentiles of the bootstrap itself would lie
        on the wrong side where levels are few: where three levels with a spread of 15 happen to lie close together, no percentile
        around the small estimate reaches 15.

        Args:
            found: what :meth:`estimates` says.
            seed: of the draws.
        """
        chance = np.random.default_rng(seed)
        root = {name: math.sqrt(max(value, 0.0)) for name, value in found.items()}
        sums: list[np.ndarray] = []
        parts: dict[str, list[list[np.ndarray]]] = {name: [] for name in self.names}
        block = max(1, min(DRAWS, BLOCK // self.count))
        for begin in range(0, DRAWS, block):
            effects = {name: self._effects(name, chance, min(block, DRAWS - begin)) for name in self.names}
            table = np.sum([root[name] * own for name, own in effects.items()], axis=0)
            solved = self.components(table)
            # As in `crossed`, a component that came out negative has no part in the sum.
            parts_of_sum = [share * solved[name] for name, share in self._shares.items() if found[name] > 0]
            sums.append(np.sum(parts_of_sum, axis=0) if parts_of_sum else np.zeros(table.shape[1]))
            for name, own in effects.items():
                others = table - root[name] * own
                parts[name].append([self.components(some)[name] for some in (others, own, others + own)])
        whole, varies = self.of_mean(found), float(np.concatenate(sums).var())
        return Errors(
            freedom=max(2 * whole**2 / varies, 1.0) if varies else math.inf,
            intervals={name: _interval(found[name], *np.concatenate(some, axis=1)) for name, some in parts.items()},
        )

    def _effects(self, name: str, chance: np.random.Generator, draws: int) -> np.ndarray:
        """(N, draws) standard normal effects of a factor, the same for outcomes of one level."""
        if name == REST:
            return chance.standard_normal((self.count, draws))
        members = self._members[name]
        return members.T @ chance.standard_normal((members.shape[0], draws))


def _interval(found: float, others: np.ndarray, own: np.ndarray, both: np.ndarray) -> tuple[float, float | None]:
    """Of a standard deviation: from its estimates, (draws,) each, in tables without it, of it alone at 1, and of both.

    Estimates are quadratic in the table, so that these three say what the estimate is under any standard deviation.
    """
    seen = max(found, 0.0)

    def beyond(spread: float, level: float) -> float:
        estimates = others + (both - others - own) * spread + own * spread**2
        return float(np.quantile(estimates, level)) - seen

    most = 4 * math.sqrt(max(seen, float(np.abs(others).max())))
    return _root(beyond, 1 - ALPHA / 2, most) or 0.0, _root(beyond, ALPHA / 2, most)


def _root(beyond: Callable[[float, float], float], level: float, most: float) -> float | None:
    """Where a quantile of the estimate reaches what was seen, from 0 on; 0 where it begins beyond, None where it never does."""
    if beyond(0.0, level) >= 0:
        return 0.0
    for _ in range(8):
        if most > 0 and beyond(most, level) > 0:
            return float(brentq(beyond, 0.0, most, args=(level,), xtol=1e-6 * most))
        most *= 4
    return None


def identifiable(factors: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The factors whose variances these outcomes can tell apart, taken up in their order; and the names of the others that vary."""
    kept: dict[str, np.ndarray] = {}
    left_out = []
    for name, codes in factors.items():
        if codes.max() == 0:
            continue
        tried = kept | {name: codes}
        matrix = expected_forms(tried)
        scale = np.sqrt(np.diag(matrix))
        if np.linalg.matrix_rank(matrix / np.outer(scale, scale), tol=1e-9) == len(matrix):
            kept = tried
        else:
            left_out.append(name)
    return kept, left_out


def expected_forms(factors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Entry (k, l): the part of factor l's variance in the expectation of factor k's form, tr(M V_k M V_l) with M the centring."""
    all_codes = list(factors.values())
    count = len(all_codes[0]) if all_codes else 0
    size = len(all_codes) + 1
    matrix = np.empty((size, size))
    for k, one in enumerate(all_codes):
        own = level_sizes(one)
        matrix[k, -1] = matrix[-1, k] = count - float((own**2).sum()) / count
        for column in range(k, len(all_codes)):
            other = all_codes[column]
            rest = level_sizes(other)
            # Of the table of both factors' levels, the few cells that are not empty.
            cells, shared = np.unique(one * len(rest) + other, return_counts=True)
            crossing = float((shared * own[cells // len(rest)] * rest[cells % len(rest)]).sum())
            squares = float((own**2).sum()) * float((rest**2).sum()) / count**2
            matrix[k, column] = matrix[column, k] = float((shared**2).sum()) - 2 * crossing / count + squares
    matrix[-1, -1] = count - 1
    return matrix


def level_sizes(codes: np.ndarray) -> np.ndarray:
    """How many outcomes each level has."""
    return np.bincount(codes).astype(float)
