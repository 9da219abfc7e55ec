"""Claims about the answers: trajectory entropy and loops (Section 5.2)."""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from embedgrad.reporting.claims.measured import Measured, Run
from embedgrad.reporting.results.answers import loops, read_answers


def _rows(run: Run, dataset: str, model: str | None = None) -> Iterator[dict[str, list[dict]]]:
    """The graded answers before and after, of each model's first seed."""
    for outcome in run.outcomes:
        cell = outcome.cell
        if outcome.metrics and cell.dataset == dataset and model in (None, cell.model):
            yield read_answers(cell, outcome.metrics[0], run.folder)


def entropy(run: Run, dataset: str, model: str, side: str) -> Measured | None:
    """Mean over the answers that do not loop."""
    values = {
        name: [row["entropy_bits"] for rows in _rows(run, dataset, model) for row in rows[name] if not loops(row)]
        for name in ("before", "after")
    }
    known = {name: [value for value in found if value is not None] for name, found in values.items()}
    untouched = float(np.mean(known["before"])) if side == "after" and known["before"] else None
    return Measured.mean(known[side], untouched=untouched)


def loop_entropy(run: Run, dataset: str) -> Measured | None:
    """Mean over the looping answers before optimisation, of all models of a data set."""
    rows = [row for rows in _rows(run, dataset) for row in rows["before"] if loops(row)]
    return Measured.mean([row["entropy_bits"] for row in rows if row["entropy_bits"] is not None])


def loops_of_failures(run: Run, dataset: str, model: str) -> Measured | None:
    """Share of the failed answers before optimisation."""
    metrics = run.metrics.get((dataset, model))
    if metrics is None:
        return None
    failures = metrics["before"]["failures"]
    return Measured.share(failures["loop"], sum(count for name, count in failures.items() if name != "none"))


def loops_left(run: Run, dataset: str) -> Measured | None:
    """Share of all answers after optimisation that fail as loops; before beside it."""
    cells = [metrics for (name, _), metrics in run.metrics.items() if name == dataset]
    n = sum(metrics["n"] for metrics in cells)
    counts = {side: sum(metrics[side]["failures"]["loop"] for metrics in cells) for side in ("before", "after")}
    return Measured.share(counts["after"], n, untouched=counts["before"] / n) if n else None


def gain_over_entropy(run: Run) -> Measured | None:
    """Pearson's r of the gain and of the initial entropy without loops, over whole tasks, with Fisher's interval."""
    pairs = [
        (metrics["before"]["entropy_bits"]["mean_without_loops"], run.gains[key].points)
        for key, metrics in run.whole_tasks().items()
    ]
    known = [(bits, gain) for bits, gain in pairs if bits is not None]
    if not known:
        return None
    bits, gains = zip(*known, strict=True)
    if len(known) < 4 or len(set(bits)) == 1 or len(set(gains)) == 1:
        return Measured(None, gate=f"{len(known)} tasks and models have an initial entropy; 4 that differ are needed")
    found = stats.pearsonr(bits, gains)
    interval = found.confidence_interval()
    return Measured(float(found.statistic), (float(interval.low), float(interval.high)))
