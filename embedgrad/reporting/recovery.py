"""Which unstated protocol explains the printed "before" numbers best.

Under a protocol the text prompt answered c of n items rightly; the printed count k of m is then binomial with
p = (c + ½) / (n + 1) (Jeffreys' estimate, so that no count is impossible). Log-likelihoods add up over cells.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from scipy import stats

from embedgrad.reporting.audit import blocks, count_of, fitting_sizes
from embedgrad.reporting.results.agreement import check_analyses
from embedgrad.reporting.results.analyses import read_grid
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.collected import Outcome
from embedgrad_core.files import UserError

KEYS = ("layout", "limit_share", "stop_rule", "strict")


def printed_counts(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], tuple[int, int]]:
    """(dataset, model) → right answers and items before optimisation, as printed.

    n is the smallest that fits the data set's percentages (the audit's), or the model's own where none fits all. Where
    the table prints nothing, the run's own "before" stands in: then the run's own protocol must come out first.
    """
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    printed = [outcome.cell for outcome in outcomes if outcome.cell.paper]
    for block in blocks(printed):
        for cell in block.cells:
            paper = cell.paper
            if not paper:
                continue
            n = block.n or next(iter(fitting_sizes([paper["before"], paper["after"]])), None)
            k = None if n is None else count_of(paper["before"], n, block.rounding or "half-up")
            if n is not None and k is not None:
                counts[cell.dataset, cell.model] = (k, n)
    for outcome in outcomes:
        cell = outcome.cell
        if not cell.paper and outcome.metrics:
            metrics = outcome.metrics[0]
            counts[cell.dataset, cell.model] = (metrics["before"]["correct"], metrics["n"])
    return counts


def rank(outcomes: Sequence[Outcome], folder: str | Path) -> list[dict]:
    """Protocols by log-likelihood over all cells that have a grid, the likeliest first; equals share a rank.

    Raises:
        UserError: an unreadable grid, or grids of another model or other data than the cells'; names the files.
    """
    counts = printed_counts(outcomes)
    total: dict[tuple, float] = defaultdict(float)
    cells: dict[tuple, int] = defaultdict(int)
    own: set[tuple] = set()
    analyses: list[tuple] = []
    for outcome in outcomes:
        cell = outcome.cell
        path = Path(folder) / cell.task / cell.model / "recovery.json"
        if (cell.dataset, cell.model) not in counts or not path.exists():
            continue
        try:
            analysis = read_grid(path)
            analyses += [(analysis, metrics, path) for metrics in outcome.metrics]
            own.add(_key(analysis["own"]))
            for protocol, likelihood in _likelihoods(analysis, cell, *counts[cell.dataset, cell.model]).items():
                total[protocol] += likelihood
                cells[protocol] += 1
        except KeyError as error:
            raise UserError(f"{path}: no level {error} under a protocol; delete it and run again.") from None
    check_analyses(analyses)
    # A protocol that not every cell knows (no chat template, no strict reading) is not compared on fewer cells.
    most = max(cells.values(), default=0)
    known = [protocol for protocol, count in cells.items() if count == most]
    ordered = sorted(known, key=lambda protocol: (-round(total[protocol], 6), protocol))
    rows: list[dict] = []
    for place, protocol in enumerate(ordered, start=1):
        likelihood = round(total[protocol], 6)
        same = rows and rows[-1]["log_likelihood"] == likelihood
        rows.append(
            {
                "rank": rows[-1]["rank"] if same else place,
                **dict(zip(KEYS, protocol, strict=True)),
                "log_likelihood": likelihood,
                "cells": most,
                "own_protocol": protocol in own,
            }
        )
    return rows


def _key(protocol: dict) -> tuple:
    return tuple(protocol[key] for key in KEYS)


def _likelihoods(analysis: dict, cell: Cell, k: int, m: int) -> dict[tuple, float]:
    found = {}
    for row in analysis["protocols"]:
        counts = row["levels"][cell.level or ""]
        p = (counts["correct"] + 0.5) / (counts["n"] + 1)
        found[_key(row["protocol"])] = float(stats.binom.logpmf(k, m, p))
    # Where an evaluator has no strict reading, strict and lenient are the same protocol.
    return found | {(*key[:3], True): value for key, value in found.items() if (*key[:3], True) not in found}
