"""The two figures of every run: accuracy before and after beside the paper's, and the training curves.

Nothing is shown that is not in the files: a cell that did not run is named as missing, not left out.
"""

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from embedgrad.reporting.figures import drawing
from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, FAINT, GREY, INK, LINK, styled
from embedgrad.reporting.results.collected import Outcome
from embedgrad.reporting.results.history import history_of
from embedgrad.reporting.typeset import short
from embedgrad_core.files import UserError

_ROW = 0.36  # inches per cell
_TRACK = 0.15  # before above, after below the middle of a row
_SIDES = (("before", BEFORE, "s", -_TRACK), ("after", AFTER, "o", _TRACK))
_KEYS = ("train_loss", "dev_loss")
_TRAIN: dict[str, Any] = {"color": BEFORE, "linestyle": (0, (4, 1.5))}
_DEV: dict[str, Any] = {"color": AFTER, "linestyle": "-"}
_ACCURACY: dict[str, Any] = {"color": ACCENT, "linestyle": (0, (1, 1.2))}


@styled()
def before_after(outcomes: Sequence[Outcome]) -> Figure:
    """One row per cell: ours with Wilson intervals, the paper's as hollow marks, the gain at the right.

    With several seeds every seed has its mark and the interval is that of the lowest.
    """
    places, groups, y = [], [], 0.0
    for task, members in groupby(outcomes, key=lambda outcome: outcome.cell.task):
        groups.append((y, task))
        for outcome in members:
            y += 1.0
            places.append((y, outcome))
        y += 1.5
    rows = y - 0.5
    with_paper = any(outcome.cell.paper for outcome in outcomes)
    tall = len(outcomes) > 15
    top, bottom = 0.75 if tall else 0.5, 0.55
    # Inches: the labels, the dots, the columns at the right.
    left = 0.075 * max(len(_label(outcome)) for outcome in outcomes) + 0.95
    right = 2.3 if with_paper else 1.75 if any(not outcome.metrics for outcome in outcomes) else 0.85
    width, height = left + 4.0 + right, rows * _ROW + top + bottom
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, bottom / height, 4.0 / width, 1 - (top + bottom) / height))
    axes.set(xlim=(-1.5, 101.5), ylim=(rows - 0.5, -0.6), xticks=range(0, 101, 20), xlabel="accuracy on the test split")
    axes.xaxis.set_major_formatter(PercentFormatter(decimals=0))
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_yticks([])
    if tall:
        axes.tick_params(axis="x", labeltop=True)
    beside = axes.get_yaxis_transform()  # x in widths of the axes, y in rows
    axes.text(1.03, -0.05, "Δ points", transform=beside, va="center", fontsize=8, color=GREY)
    if with_paper:
        axes.text(1.19, -0.05, "verdict", transform=beside, va="center", fontsize=8, color=GREY)
    for place, task in groups:
        axes.text(-left / 4.0 + 0.02, place, task, transform=beside, va="center", weight="bold", parse_math=False)
    for place, outcome in places:
        label: dict[str, Any] = {"transform": beside, "va": "center", "fontsize": 8, "parse_math": False}
        axes.text(-left / 4.0 + 0.05, place, _label(outcome), **label)
        if outcome.metrics:
            axes.text(-0.03, place, f"n = {outcome.metrics[0]['n']}", ha="right", color=GREY, **label)
        _marks(axes, place, outcome)
        _right(axes, place, outcome, beside, with_paper)
    drawing.legend(figure, _handles(with_paper))
    return figure


def _label(outcome: Outcome) -> str:
    cell = outcome.cell
    return f"L{cell.level} · {cell.model}" if cell.level else cell.model


def _marks(axes: Axes, place: float, outcome: Outcome) -> None:
    for metrics in outcome.metrics:
        ends = [100 * metrics[side]["accuracy"] for side in ("before", "after")]
        axes.plot(ends, [place - _TRACK, place + _TRACK], color=LINK, linewidth=0.9, zorder=1)
    for side, colour, shape, track in _SIDES:
        y = place + track
        if outcome.metrics:
            low, high = outcome.metrics[0][side]["wilson"]
            axes.plot([100 * low, 100 * high], [y, y], color=colour, linewidth=1.6, alpha=0.55, solid_capstyle="butt")
        for metrics in outcome.metrics:
            accuracy = 100 * metrics[side]["accuracy"]
            axes.plot(accuracy, y, shape, color=colour, markersize=4, markeredgewidth=0, clip_on=False, zorder=3)
        if outcome.cell.paper:
            paper = float(outcome.cell.paper[side])
            axes.plot(paper, y, shape, mfc="none", mec=INK, markersize=6.5, mew=0.9, clip_on=False, zorder=4)


def _right(axes: Axes, place: float, outcome: Outcome, beside: object, with_paper: bool) -> None:
    style: dict[str, Any] = {"transform": beside, "va": "center", "fontsize": 8, "parse_math": False}
    if not outcome.metrics:
        axes.text(1.03, place, f"missing: {short(outcome.reason, 28)}", color=GREY, style="italic", **style)
        return
    gains = [metrics["delta"]["points"] for metrics in outcome.metrics]
    axes.text(1.125, place, f"{sum(gains) / len(gains):+.1f}".replace("-", "−"), ha="right", **style)
    if with_paper:
        words = dict.fromkeys(metrics["verdict"].get("word") or "–" for metrics in outcome.metrics)
        axes.text(1.19, place, " / ".join(words) if len(words) < 3 else "mixed", **style)


def _handles(with_paper: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker=shape, markersize=4, linewidth=1.6, label=f"{side}, ours (Wilson 95 %)")
        for side, colour, shape, _ in _SIDES
    ]
    if with_paper:
        handles += [
            Line2D([], [], linestyle="none", marker=shape, mfc="none", mec=INK, markersize=6.5, label=f"{side}, paper")
            for side, _, shape, _ in _SIDES
        ]
    return handles


@styled()
def training_curves(outcomes: Sequence[Outcome], folder: str | Path) -> Figure:
    """One small panel per cell, from ``<folder>/<dataset>/<model>/seed<k>/optimize.jsonl``.

    Raises:
        UserError: a history that is cut short or has no epoch.
    """
    columns = min(4, len(outcomes))
    height = 1.75 * math.ceil(len(outcomes) / columns) + 0.45 + 0.5  # head and foot
    figure = Figure(figsize=(max(2.45 * columns + 0.65, 5.6), height))  # wide enough for the legend
    grid = drawing.panels(figure, len(outcomes), columns, (0.72, 0.5, 0.73, 0.5), hspace=0.62, wspace=0.52)
    histories = [_histories(outcome, folder) for outcome in outcomes]
    last = max((line["epoch"] for found in histories for history, _ in found for line in history), default=1)
    with_accuracy = False
    for axes, outcome, found in zip(grid, outcomes, histories, strict=True):
        drawing.title(axes, f"{outcome.cell.dataset}\n{outcome.cell.model}")
        axes.set_xlim(-0.3, last + 0.3)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
        if not found:
            axes.set_yticks([])
            drawing.note(axes, f"missing: {short(outcome.reason, 24)}" if not outcome.metrics else "no history")
            continue
        for history, best in found:
            _losses(axes, history, best, 1.5 if len(found) == 1 else 0.9)
        _scale(
            axes, [line[key] for history, _ in found for line in history for key in _KEYS if line.get(key) is not None]
        )
        with_accuracy |= _accuracies(axes, [history for history, _ in found])
    drawing.name_axes(figure, "epoch (0: the text prompt)", "loss, nats an item")
    drawing.legend(figure, _curve_handles(with_accuracy))
    return figure


def _histories(outcome: Outcome, folder: str | Path) -> list[tuple[list[dict], int | None]]:
    """Per seed: the epochs that have losses, and the best epoch."""
    found = []
    for metrics, home in outcome.homes(folder):
        path = home / "optimize.jsonl"
        if not path.exists():
            continue
        lines = [line for line in history_of(metrics, path) if line.get("dev_loss") is not None]
        if not lines:
            raise UserError(f"{path}: no epoch with a dev loss; delete the file and optimise again.")
        found.append((lines, metrics.get("prompt", {}).get("best_epoch")))
    return found


def _losses(axes: Axes, history: Sequence[dict], best: int | None, width: float) -> None:
    """Draw one seed's losses, and a ring at the epoch whose prompt was kept."""
    for key, style in zip(_KEYS, (_TRAIN, _DEV), strict=True):
        lines = [line for line in history if line.get(key) is not None]
        axes.plot([line["epoch"] for line in lines], [line[key] for line in lines], linewidth=width, **style)
    for line in history:
        if line["epoch"] == best:
            axes.plot(line["epoch"], line["dev_loss"], "o", color=AFTER, markersize=5, mfc="white", zorder=5)


def _scale(axes: Axes, losses: Sequence[float]) -> None:
    """From 0; but logarithmic where epoch 0, of a prompt whose answer the model does not expect, would flatten all that follows."""
    if min(losses) <= 0 or max(losses) < 4 * min(losses):
        axes.set_ylim(bottom=0)
        return
    drawing.logarithmic(axes, (1, 3))
    axes.yaxis.set_minor_locator(NullLocator())


def _accuracies(axes: Axes, histories: Sequence[Sequence[dict]]) -> bool:
    """Draw the dev accuracy of all seeds on an axis of its own; whether there was any."""
    graded = [[line for line in history if line.get("dev_accuracy") is not None] for history in histories]
    if not any(graded):
        return False
    right = axes.twinx()
    for lines in graded:
        epochs = [line["epoch"] for line in lines]
        right.plot(epochs, [100 * line["dev_accuracy"] for line in lines], linewidth=1.5, **_ACCURACY)
    right.set_ylim(0, 104)
    right.set_yticks([0, 50, 100])
    right.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    right.tick_params(labelsize=7, labelcolor=ACCENT, color=ACCENT)
    right.spines["right"].set_visible(True)
    right.spines["right"].set_color(ACCENT)
    return True


def _curve_handles(with_accuracy: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], linewidth=1.5, label="train loss", **_TRAIN),
        Line2D([], [], linewidth=1.5, label="dev loss", **_DEV),
        Line2D([], [], linestyle="none", marker="o", mfc="white", mec=AFTER, markersize=5, label="prompt kept"),
    ]
    if with_accuracy:
        handles.append(Line2D([], [], linewidth=1.5, label="dev accuracy (right)", **_ACCURACY))
    return handles
