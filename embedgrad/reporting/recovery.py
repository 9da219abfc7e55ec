"""Which unstated protocol explains the printed "before" numbers best.

Under a protocol the text prompt answered c of n items of the training half rightly. Both counts are samples: given c of n, the
printed k of m is beta-binomial (Jeffreys' prior, Beta(c + ½, n - c + ½)), so that few items of ours count for little.
Log-likelihoods add up over cells: a task's own row, or its levels where it has none, since both are the same decodings. Before
anything is seen each protocol weighs the same; the posterior says what the printed numbers make of that.

A protocol is one value for each choice. Where a choice makes no difference to a cell (a box where there is no maths, a system
message without a template), the cell's protocols do not name it, and what they say holds for all of its values.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import logsumexp

from embedgrad.reporting.printed.audit import blocks, count_of, fitting_sizes
from embedgrad.reporting.results.agreement import check_analyses
from embedgrad.reporting.results.analyses import read_grid
from embedgrad.reporting.results.collected import Outcome, whole_tasks
from embedgrad_core.files import UserError

# Every search has these …
KEYS = ("layout", "limit_share", "stop_rule", "strict")
# … and some of these, with what a run has that does not name them.
MORE = {"box": "last", "system_message": None, "repetition_penalty": "none", "edition": "original"}
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


@dataclass(frozen=True)
class Search:
    """What one task and model scored under each protocol, and the printed count that is to be explained.

    Attributes:
        grid: as ``recovery.json`` holds it.
        level: whose counts are taken; empty for all items.
        printed: right answers and items.
        source: what an error calls it.
    """

    grid: dict
    level: str
    printed: tuple[int, int]
    source: Path | str


def rank(outcomes: Sequence[Outcome], folder: str | Path) -> list[dict]:
    """Protocols by log-likelihood over all cells that have a grid, with posterior weights; equals share a rank.

    Raises:
        UserError: an unreadable grid, or grids of another model or other data than the cells'; names the files.
    """
    counts = printed_counts(outcomes)
    grids = list(_grids(outcomes, folder))
    check_analyses([(grid, metrics, path) for grid, outcome, path in grids for metrics in outcome.metrics])
    cells = ((grid, outcome.cell, path) for grid, outcome, path in grids)
    return ranked([Search(grid, one.level or "", counts[one.dataset, one.model], path) for grid, one, path in cells])


def ranked(searches: Sequence[Search]) -> list[dict]:
    """The rows of :func:`rank`.

    Raises:
        UserError: a grid without the level under a protocol; names it.
    """
    values = _values([search.grid["protocols"] for search in searches])
    # One axis of the array for each choice.
    total = np.zeros([len(known) for known in values.values()])
    cells = np.zeros(total.shape, dtype=int)
    for search in searches:
        for place, likelihood in _likelihoods(search, values):
            total[place] += likelihood
            cells[place] += 1
    # A protocol that not every cell knows (no chat template) is not compared on fewer cells.
    most = int(cells.max(initial=0))
    places = [tuple(map(int, place)) for place in np.argwhere(cells == most)] if most else []
    found = {
        tuple(one[at] for one, at in zip(values.values(), place, strict=True)): float(total[place]) for place in places
    }
    ordered = sorted(found, key=lambda protocol: (-round(found[protocol], 6), protocol))
    everything = logsumexp(list(found.values())) if found else 0.0
    owns = _own([search.grid["own"] for search in searches])
    rows: list[dict] = []
    for standing, protocol in enumerate(ordered, start=1):
        likelihood = round(found[protocol], 6)
        same = rows and rows[-1]["log_likelihood"] == likelihood
        named = dict(zip(values, protocol, strict=True))
        rows.append(
            {
                "rank": rows[-1]["rank"] if same else standing,
                **named,
                "log_likelihood": likelihood,
                "posterior": math.exp(found[protocol] - everything),
                "cells": most,
                "own_protocol": any(all(own[key] in (value, None) for key, value in named.items()) for own in owns),
            }
        )
    return rows


def left_out(outcomes: Sequence[Outcome], folder: str | Path) -> list[dict]:
    """The choices that were to be searched and that no cell has, as rows of :func:`axes`: the word says why."""
    grids = [grid for grid, _, _ in _grids(outcomes, folder)]
    found = set(_values([grid["protocols"] for grid in grids]))
    reasons = {key: why for grid in grids for key, why in grid.get("left_out", {}).items() if key not in found}
    return [{"choice": key, "word": why} for key, why in sorted(reasons.items())]


def axes(protocols: Sequence[dict]) -> list[dict]:
    """What the printed numbers say of each choice by itself, the others averaged over: a row per choice and value.

    ``posterior`` is the value's share; ``factor`` is the Bayes factor of the choice's likeliest value against it (1 for that
    value). A choice whose runner-up has a factor below 3 cannot be told apart, and all of its values down to that factor say so.
    """
    rows = []
    for key in (*KEYS, *MORE):
        if not protocols or key not in protocols[0]:
            continue
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


def _grids(outcomes: Sequence[Outcome], folder: str | Path) -> Iterable[tuple[dict, Outcome, Path]]:
    """Each whole task's search, of the cells for which there is a count to be explained."""
    counts = printed_counts(outcomes)
    counted = [outcome for outcome in outcomes if (outcome.cell.dataset, outcome.cell.model) in counts]
    for outcome in whole_tasks(counted):
        path = Path(folder) / outcome.cell.task / outcome.cell.model / "recovery.json"
        if path.exists():
            yield read_grid(path), outcome, path


def _values(grids: Sequence[Sequence[dict]]) -> dict[str, list]:
    """Each choice with all of its values in these searches, in the order of the columns."""
    rows = [row["protocol"] for grid in grids for row in grid]
    found = {key: sorted({row[key] for row in rows if key in row}) for key in (*KEYS, *MORE)}
    found["strict"] = [False, True]  # lenient and strict are the same where an evaluator has no strict reading
    return {key: values for key, values in found.items() if values}


def _own(owns: Sequence[Mapping]) -> list[dict]:
    """The runs' own protocols, each once; None stands for any value of a choice that makes no difference there."""
    said = {key: value for own in owns for key, value in own.items() if key in MORE}
    unique: list[dict] = []
    for own in owns:
        full = {**MORE, **said, **own}
        unique += [full] * (full not in unique)
    return unique


def _likelihoods(search: Search, values: dict[str, list]) -> Iterable[tuple[tuple, float]]:
    """Where each row of a search stands in the array of all protocols, and the log-likelihood of the printed count under it.

    A choice that the row does not name takes up all of its axis.
    """
    rows, (k, m) = search.grid["protocols"], search.printed
    try:
        counts = [row["levels"][search.level] for row in rows]
    except KeyError as error:
        raise UserError(f"{search.source}: no level {error} under a protocol; delete it and run again.") from None
    c, n = (np.array([one[key] for one in counts]) for key in ("correct", "n"))
    likelihoods = stats.betabinom.logpmf(k, m, c + 0.5, n - c + 0.5).tolist()
    at = {key: {value: place for place, value in enumerate(known)} for key, known in values.items()}
    if not any(row["protocol"]["strict"] for row in rows):  # these answers have no strict reading
        del at["strict"]
    for row, likelihood in zip(rows, likelihoods, strict=True):
        named = row["protocol"]
        yield tuple(at[key][named[key]] if key in at and key in named else slice(None) for key in values), likelihood
