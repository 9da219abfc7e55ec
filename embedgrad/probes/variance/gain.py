"""What one run's gain is worth beside those of other splits, orders and starts."""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from scipy.stats import t

from embedgrad.probes.applies import DoesNotApply, check_size
from embedgrad.probes.variance.components import REST, Design, identifiable, level_sizes
from embedgrad.probes.variance.runs import CellRun
from embedgrad.reporting.statistics import ALPHA, mcnemar

# In the order in which they are taken up: where two of them cannot be told apart, the first one has the variance of both.
RUN_FACTORS = ("split", "order", "displacement")
ITEM_FACTORS = ("item", "item in split")


def variance(runs: Sequence[CellRun], seed: int = 0) -> dict:
    """Components of the gain's variance over runs of one cell, and what one of these runs says by itself.

    Args:
        runs: of one cell; they differ in split, order or displacement.
        seed: of the parametric bootstrap.

    Returns:
        ``runs``, ``items`` (of a run, on average), ``mean`` and ``interval`` (the gain over all, in points, with
        Satterthwaite's degrees of freedom); ``components``: by factor its ``levels``, ``variance``, ``sd`` in points (0 where
        the estimate of the variance is negative) and its ``interval`` (95 %, :meth:`Design.errors`); ``confounded``: factors
        that vary with another one only and are part of that; ``single``: ``sd`` of the gain that one run finds,
        ``sd_of_items``, what its items alone make of it, and ``ratio``; ``covered``: in how many runs the run's own interval
        over its items holds the mean of all; ``significant``: in how many of them the exact McNemar test finds a gain;
        ``gains``: of each run.

    Raises:
        DoesNotApply: fewer than two runs that differ, or a run of few items.
    """
    levels = {name: [getattr(run, name) for run in runs] for name in RUN_FACTORS}
    if len(set(zip(*levels.values(), strict=True))) < 2:
        raise DoesNotApply("it takes two runs of the cell that differ in split, order or displacement")
    check_size(min(len(run.verdicts) for run in runs))
    values, factors = _table(runs)
    kept, confounded = identifiable(factors)
    design = Design(kept)
    found = design.estimates(values)
    errors = design.errors(found, seed)
    sizes = {name: level_sizes(codes) for name, codes in kept.items()}
    clipped = {name: max(value, 0.0) for name, value in found.items()}
    count, each = len(values), np.mean([len(run.verdicts) for run in runs])
    half = float(t.ppf(1 - ALPHA / 2, errors.freedom)) * math.sqrt(design.of_mean(found))
    of_items = (sum(clipped[name] for name in ITEM_FACTORS if name in kept) + clipped[REST]) / each
    single = of_items + sum(clipped[name] for name in RUN_FACTORS if name in kept)
    mean = float(values.mean())
    pairs = [run.pairs for run in runs]
    return {
        "runs": len(runs),
        "items": round(float(each), 1),
        "mean": mean,
        "interval": [mean - half, mean + half],
        "components": {
            name: {
                "levels": len(sizes[name]) if name in sizes else count,
                "variance": found[name],
                "sd": math.sqrt(clipped[name]),
                "interval": list(errors.intervals[name]),
            }
            for name in found
        },
        "confounded": confounded,
        "single": {
            "sd": math.sqrt(single),
            "sd_of_items": math.sqrt(of_items),
            "ratio": math.sqrt(single / of_items) if of_items else None,
        },
        "covered": sum(low <= mean <= high for low, high in (one.interval for one in pairs)),
        "significant": sum(one.points > 0 and mcnemar(one.only_before, one.only_after)[0] < ALPHA for one in pairs),
        "gains": [
            {**{name: str(levels[name][place]) for name in RUN_FACTORS}, "n": one.n, "points": one.points}
            for place, one in enumerate(pairs)
        ],
    }


def _table(runs: Sequence[CellRun]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The gains in points, one for each run and item, and the level of each factor, nested ones within theirs."""
    values, rows = [], []
    for run in runs:
        for item, (before, after) in run.verdicts.items():
            values.append(100.0 * (after - before))
            order = (run.split, run.order)
            rows.append((item, run.split, order, (*order, run.displacement), (item, run.split)))
    names = ("item", *RUN_FACTORS, "item in split")
    factors = {name: _codes(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    if all(run.displacement is None for run in runs):
        del factors["displacement"]  # no start was displaced: nothing there to be told apart or not
    return np.array(values), factors


def _codes(labels: Sequence[Hashable]) -> np.ndarray:
    known = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return np.array([known[label] for label in labels])
