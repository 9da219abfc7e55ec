"""Which unstated protocol explains the printed "before" numbers best.

Under a protocol the text prompt answered c of n items of the training half rightly. Both counts are samples: given c of n, the
printed k of m is beta-binomial (Jeffreys' prior, Beta(c + ½, n - c + ½)), so that few items of ours count for little.
Log-likelihoods add up over cells: a task's own row, or its levels where it has none, since both are the same decodings. Before
anything is seen each protocol weighs the same; the posterior says what the printed numbers make of that.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import logsumexp

from embedgrad.reporting.printed.audit import blocks, count_of, fitting_sizes
from embedgrad.reporting.results.agreement import check_analyses
from embedgrad.reporting.results.analyses import read_grid
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.collected import Outcome, whole_tasks
from embedgrad_core.files import UserError

KEYS = ("layout", "limit_share", "stop_rule", "strict")
# Kass and Raftery (1995, J. Am. Stat. Assoc. 90:773-795): a Bayes factor below 3 is not worth more than a bare mention.
MENTION = 3.0
LIKELIEST, UNLIKELY, NOT_APART = "likeliest", "less likely", "cannot be told apart"


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
    """Protocols by log-likelihood over all cells that have a grid, with posterior weights; equals share a rank.

    Raises:
        UserError: an unreadable grid, or grids of another model or other data than the cells'; names the files.
    """
    counts = printed_counts(outcomes)
    total: dict[tuple, float] = defaultdict(float)
    cells: dict[tuple, int] = defaultdict(int)
    own: set[tuple] = set()
    analyses: list[tuple] = []
    counted = [outcome for outcome in outcomes if (outcome.cell.dataset, outcome.cell.model) in counts]
    for outcome in whole_tasks(counted):
        cell = outcome.cell
        path = Path(folder) / cell.task / cell.model / "recovery.json"
        if not path.exists():
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
    everything = logsumexp([total[protocol] for protocol in ordered]) if ordered else 0.0
    rows: list[dict] = []
    for place, protocol in enumerate(ordered, start=1):
        likelihood = round(total[protocol], 6)
        same = rows and rows[-1]["log_likelihood"] == likelihood
        rows.append(
            {
                "rank": rows[-1]["rank"] if same else place,
                **dict(zip(KEYS, protocol, strict=True)),
                "log_likelihood": likelihood,
                "posterior": float(np.exp(total[protocol] - everything)),
                "cells": most,
                "own_protocol": protocol in own,
            }
        )
    return rows


def axes(protocols: Sequence[dict]) -> list[dict]:
    """What the printed numbers say of each choice by itself, the others averaged over: a row per choice and value.

    ``posterior`` is the value's share; ``factor`` is the Bayes factor of the choice's likeliest value against it (1 for that
    value). A choice whose runner-up has a factor below 3 cannot be told apart, and all of its values down to that factor say so.
    """
    rows = []
    for key in KEYS:
        weights: dict[Any, list[float]] = defaultdict(list)
        for row in protocols:
            weights[row[key]].append(row["posterior"])
        if len(weights) < 2:
            continue
        # Each value weighs the same beforehand, however many protocols have it.
        mean = {value: float(np.mean(found)) for value, found in weights.items()}
        whole, best = sum(mean.values()), max(mean.values())
        factors = {value: best / share if share else float("inf") for value, share in mean.items()}
        close = sum(factor < MENTION for factor in factors.values()) > 1
        for value in sorted(mean, key=lambda value: (factors[value], str(value))):
            word = UNLIKELY if factors[value] >= MENTION else NOT_APART if close else LIKELIEST
            share = mean[value] / whole
            rows.append({"choice": key, "value": value, "posterior": share, "factor": factors[value], "word": word})
    return rows


def _key(protocol: dict) -> tuple:
    return tuple(protocol[key] for key in KEYS)


def _likelihoods(analysis: dict, cell: Cell, k: int, m: int) -> dict[tuple, float]:
    found = {}
    for row in analysis["protocols"]:
        counts = row["levels"][cell.level or ""]
        c, n = counts["correct"], counts["n"]
        found[_key(row["protocol"])] = float(stats.betabinom.logpmf(k, m, c + 0.5, n - c + 0.5))
    # Where an evaluator has no strict reading, strict and lenient are the same protocol.
    return found | {(*key[:3], True): value for key, value in found.items() if (*key[:3], True) not in found}
