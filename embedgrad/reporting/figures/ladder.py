"""The optimised prompt among the ways that train nothing, and the gain over the token limit."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embedgrad.reporting.figures import drawing
from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, FAINT, GREY, LINK, styled
from embedgrad.reporting.ladder import RUNGS

_MARKS = dict(zip(RUNGS, ("|", "x", "v", "^", "s", "D", "d", "P", "*"), strict=True))
_COLUMNS = 4


@styled()
def ladder(rows: Sequence[dict]) -> Figure:
    """Accuracy of every rung, one line per cell; the best on dev is ringed, before and optimised are the filled circles.

    Args:
        rows: as of :func:`embedgrad.reporting.ladder.ladder_rows`.
    """
    figure = Figure(figsize=(8.2, 1.3 + 0.34 * max(len(rows), 1)), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        axes.axhline(place, color=FAINT, linewidth=0.8, zorder=0)
        for name, mark in _MARKS.items():
            if row.get(name) is not None:
                axes.plot(row[name], place, mark, color=GREY, ms=5.5, mew=1.2, label=name, zorder=2)
        if "best" in row:
            axes.plot(row["best"], place, "o", ms=12, mfc="none", mec=ACCENT, mew=1.5, label="best on dev", zorder=1)
        axes.plot(row["before"], place, "o", color=BEFORE, ms=6.5, label="before (the text prompt)", zorder=3)
        axes.plot(row["optimised"], place, "o", color=AFTER, ms=6.5, label="optimised", zorder=4)
    axes.set_yticks(
        range(len(rows)), [f"{row['dataset']} · {row['model']} (n {row['n']})" for row in rows], fontsize=7.5
    )
    axes.set_xlim(-2, 102)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("accuracy, %")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=4, frameon=False, fontsize=7.5)
    return figure


@styled()
def limits(rows: Sequence[dict]) -> Figure:
    """Accuracy before and after under smaller token limits, a panel per cell (lowest seed); thin: the share of answers that ended.

    Args:
        rows: as of :func:`embedgrad.reporting.analyses.limit_rows`.
    """
    panels: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        panel = panels.setdefault((row["dataset"], row["model"]), [])
        if not panel or panel[0]["seed"] == row["seed"]:
            panel.append(row)
    columns = min(_COLUMNS, max(1, len(panels)))
    count = max(1, math.ceil(len(panels) / columns))
    figure = Figure(figsize=(max(2.1 * columns, 4.2), 0.8 + 1.75 * count), layout="constrained")
    grid = figure.subplots(count, columns, squeeze=False, sharey=True)
    for axes, (name, panel) in zip(grid.flat, panels.items(), strict=False):
        _panel(axes, name, panel)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    figure.supxlabel("token limit of an answer", fontsize=9)
    figure.supylabel("%", fontsize=9)
    if panels:
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=7.5)
    return figure


def _panel(axes: Axes, name: tuple[str, str], panel: Sequence[dict]) -> None:
    at = [row["limit"] for row in panel]
    for side, colour, mark in (("before", BEFORE, "o"), ("after", AFTER, "s")):
        ended = [100 * row[f"{side}_ended"] / row["n"] for row in panel]
        axes.plot(at, ended, ls=(0, (2, 2)), lw=1, color=colour, alpha=0.6, label=f"{side}: ended by itself")
        axes.plot(at, [row[side] for row in panel], f"{mark}-", ms=3.5, lw=1.4, color=colour, label=f"{side}: right")
    axes.set_xscale("log", base=2)
    axes.set_xticks([at[0], at[-1]], [str(at[0]), str(at[-1])])
    axes.minorticks_off()
    axes.set_ylim(-3, 103)
    axes.grid(axis="y", color=LINK, alpha=0.35, lw=0.6)
    drawing.title(axes, "\n".join(name))
