"""Where a gain comes from, and how sure the answers are: stacked changes, and entropies with the loops apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from embedgrad.files import LOOP_STOPS
from embedgrad.reporting.figures import drawing
from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, FAINT, GREY, styled
from embedgrad.reporting.results.answers import answer_files, read_answers
from embedgrad.reporting.results.collected import Outcome

BINS = 24


@styled()
def gain(outcomes: Sequence[Outcome]) -> Figure:
    """Items that came to be right, split into newly readable and newly right answers; those lost go to the left.

    The split is exact: an answer that was right only after was either not extractable before, or extractable and wrong.
    """
    found = [outcome for outcome in outcomes if outcome.metrics]
    figure = Figure(figsize=(7.2, 0.9 + 0.3 * max(len(found), 1)), layout="constrained")
    axes = figure.add_subplot()
    parts = (
        ("became_extractable", 1, AFTER, "", "became readable, and is right"),
        ("became_right", 1, ACCENT, "", "was readable, became right"),
        ("lost_extractable", -1, BEFORE, "", "was right, no longer readable"),
        ("lost_right", -1, BEFORE, "///", "was right, became wrong"),
    )
    places = list(range(len(found)))
    left = {1: [0.0] * len(found), -1: [0.0] * len(found)}
    for key, sign, colour, hatch, label in parts:
        widths = [sign * 100 * o.metrics[0]["gain"][key] / max(o.metrics[0]["n"], 1) for o in found]
        axes.barh(
            places, widths, left=left[sign], color=colour, hatch=hatch, edgecolor="white", height=0.7, label=label
        )
        left[sign] = [a + b for a, b in zip(left[sign], widths, strict=True)]
    axes.axvline(0, color=GREY, linewidth=0.8)
    names = [f"{o.cell.dataset} · {o.cell.model} (n {o.metrics[0]['n']})" for o in found]
    axes.set_yticks(places, names, fontsize=7.5)
    axes.invert_yaxis()
    axes.set_xlabel("points of accuracy, % of items")
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure


@styled()
def entropy(outcomes: Sequence[Outcome], folder: str | Path) -> Figure:
    """Distribution of Eq. 11 over items before and after; loops, whose entropy is low for another reason, apart.

    Raises:
        UserError: graded answers that cannot be read.
    """
    found = [outcome for outcome in outcomes if outcome.metrics]
    columns = 4
    rows = max(1, -(-len(found) // columns))
    figure = Figure(figsize=(8.4, 0.7 + 1.5 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(found):
            axes.set_axis_off()
            continue
        outcome = found[place]
        sides = _answers(outcome, folder)
        values = [bits for rows_ in sides.values() for bits, _ in rows_]
        top = max([*values, 0.1])
        edges = top * np.arange(BINS + 1) / BINS
        for side, colour, sign in (("before", BEFORE, 1), ("after", AFTER, -1)):
            total = max(len(sides[side]), 1)
            below: np.ndarray = np.zeros(BINS)
            for loops, alpha in ((False, 0.9), (True, 0.35)):
                bins = [min(BINS - 1, int(bits / top * BINS)) for bits, is_loop in sides[side] if is_loop == loops]
                share = np.bincount(bins, [sign / total] * len(bins), BINS)
                axes.bar(edges[:-1], share, top / BINS, below, align="edge", color=colour, alpha=alpha)
                below = share
        axes.axhline(0, color=GREY, linewidth=0.6)
        axes.set_yticks([])
        drawing.title(axes, f"{outcome.cell.dataset}\n{outcome.cell.model}")
    figure.supxlabel("mean entropy of an answer's steps, bits", fontsize=9)
    handles = [
        Patch(color=BEFORE, alpha=0.9, label="before (upwards)"),
        Patch(color=AFTER, alpha=0.9, label="after (downwards)"),
        Patch(color=FAINT, alpha=1.0, label="paler: repetition loops"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return figure


def _answers(outcome: Outcome, folder: str | Path) -> dict[str, list[tuple[float, bool]]]:
    """Per side, the entropy of each answered item of the lowest seed, and whether it loops; nothing where files are missing."""
    metrics = outcome.metrics[0]
    if not all(path.exists() for path in answer_files(outcome.cell, metrics["cell"]["seed"], folder).values()):
        return {"before": [], "after": []}
    return {
        side: [(row["entropy_bits"], row["stop"] in LOOP_STOPS) for row in rows if row["entropy_bits"] is not None]
        for side, rows in read_answers(outcome.cell, metrics, folder).items()
    }
