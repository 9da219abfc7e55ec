"""EmbedGrad among its rivals: accuracy over what is trained, over the time of fitting, and over what each answer costs."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from embedgrad.reporting.figures import drawing
from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, FAINT, GREY, INK, LINK, styled

# Colour and mark of each family; EmbedGrad's own are those that it has in every other figure.
FAMILIES: dict[str, tuple[str, str, str]] = {
    "": ("text prompt", BEFORE, "o"),
    "untrained": ("nothing trained", BEFORE, "h"),
    "embedgrad": ("EmbedGrad", AFTER, "o"),
    "soft_prompts": ("soft prompts", "#56B4E9", "s"),
    "prefixes": ("prefixes", ACCENT, "D"),
    "weights": ("weights", "#CC79A7", "^"),
    "bottlenecks": ("adapters", "#E69F00", "v"),
    "token_search": ("search over tokens", INK, "P"),
    "feedback": ("criticism in words", GREY, "X"),
    "at_test_time": ("at each answer", "#8C6D31", "*"),
}
LOWEST, HIGHEST = -2, 102  # of the panels, in per cent
AXES = {
    "parameters": ("trained_parameters", "trainable parameters (0: words, or nothing)"),
    "seconds": ("fit_cpu_seconds", "CPU seconds of fitting, without dev (0: nothing is fitted)"),
    "positions": ("extra_tokens", "tokens an answer reads and writes, beside its input"),
}


@styled()
def scatter(rows: Sequence[dict], over: str) -> Figure:
    """Accuracy with its interval over one cost, a panel a cell; the line joins what no cheaper method beats.

    Args:
        rows: as of :func:`embedgrad.reporting.rivals.numbers.numbers`.
        over: ``parameters``, ``seconds`` or ``positions``.
    """
    key, label = AXES[over]
    cells = list(dict.fromkeys((row["dataset"], row["model"]) for row in rows))
    columns = min(2, max(1, len(cells)))
    lines = max(1, math.ceil(len(cells) / columns))
    figure = Figure(figsize=(5.2 * columns, (1.0 if columns > 1 else 1.2) + 3.1 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes, cell in zip(grid.flat, cells, strict=False):
        known = [row for row in rows if not row.get("reason") and (row["dataset"], row["model"]) == cell]
        mine = [row | {"extra_tokens": _tokens(row)} for row in known]
        _panel(axes, [row for row in mine if row.get(key) is not None], key)
        drawing.title(axes, " · ".join(cell))
    for axes in list(grid.flat)[len(cells) :]:
        axes.set_axis_off()
    figure.supxlabel(label, fontsize=9)
    figure.supylabel("accuracy, %", fontsize=9)
    handles: dict[str, Any] = {}
    for axes in grid.flat:
        handles |= {name: handle for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(
            handles.values(), handles, loc="outside upper center", ncols=2 * columns + 1, frameon=False, fontsize=7.5
        )
    return figure


def _tokens(row: dict) -> float | None:
    """Prompt positions of all calls and tokens written; what a template and the input take is the same for all."""
    if row.get("positions") is None:
        return None
    return row["positions"] + row["tokens_an_answer"]


def _panel(axes: Axes, rows: Sequence[dict], key: str) -> None:
    for row in rows:
        label, colour, mark = FAMILIES[row["family"] or ""]
        accuracy = 100 * row["accuracy"]
        reach = [[accuracy - 100 * row["accuracy_low"]], [100 * row["accuracy_high"] - accuracy]]
        own = row["family"] == "embedgrad"
        axes.errorbar(row[key], accuracy, yerr=reach, color=FAINT if not own else AFTER, elinewidth=1, zorder=1)
        axes.plot(
            row[key], accuracy, mark, color=colour, ms=8 if own else 5.5, label=label, zorder=4 if own else 3, ls=""
        )
    _name(axes, rows, key)
    front = _front(rows, key)
    axes.step(
        [row[key] for row in front], [100 * row["accuracy"] for row in front], where="post", color=LINK, lw=1, zorder=0
    )
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=-0.3)
    axes.set_ylim(LOWEST, HIGHEST)
    axes.grid(axis="y", color=FAINT, lw=0.6, zorder=0)


def _name(axes: Axes, rows: Sequence[dict], key: str) -> None:
    """The methods' names beside the panel, from the best down, each with a line to its point."""
    ranked = sorted(rows, key=lambda row: (-row["accuracy"], row[key]))
    heights = spread([(100 * row["accuracy"] - LOWEST) / (HIGHEST - LOWEST) for row in ranked])
    for row, height in zip(ranked, heights, strict=True):
        point, place = (row[key], 100 * row["accuracy"]), (1.03, height)
        colour = AFTER if row["family"] == "embedgrad" else INK
        axes.text(
            *place, row["method"].replace("_", " "), transform=axes.transAxes, va="center", fontsize=5.5, color=colour
        )
        line = ConnectionPatch(point, place, axes.transData, axes.transAxes, lw=0.4, color=FAINT, shrinkA=3, shrinkB=2)
        axes.add_artist(line)


def spread(heights: Sequence[float]) -> list[float]:
    """Heights between 0 and 1, given from the highest down, moved as little as keeps lines of text apart."""
    gap = min(0.045, 1 / max(1, len(heights)))
    found: list[float] = []
    for height in heights:
        found.append(min(height, found[-1] - gap) if found else min(height, 1 - gap / 2))
    floor = gap / 2
    for place in reversed(range(len(found))):  # those below the panel push the others up
        found[place] = max(found[place], floor)
        floor = found[place] + gap
    return found


def _front(rows: Sequence[dict], key: str) -> list[dict]:
    """The rows that no row of the same or a lower cost beats."""
    front: list[dict] = []
    for row in sorted(rows, key=lambda row: (row[key], -row["accuracy"])):
        if not front or row["accuracy"] > front[-1]["accuracy"]:
            front.append(row)
    return front
