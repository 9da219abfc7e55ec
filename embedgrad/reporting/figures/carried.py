"""What is left of optimised prompts elsewhere, a line a report: shares of the gain in loss and among the labels, and ranking."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from embedgrad.reporting.carried import NAMES
from embedgrad.reporting.figures import drawing
from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, FAINT, GREY, LINK, styled
from embedgrad.reporting.results.carried import Report


class Mark(NamedTuple):
    """How a prompt is drawn."""

    shape: str
    colour: str
    filled: bool = True


# From the bottom of a line to its top; what costs no step on the model is filled.
MARKS = {
    "text": Mark("|", BEFORE),
    "random": Mark("X", GREY),
    "random_words": Mark("X", GREY),
    "transferred": Mark("o", AFTER),
    "distilled": Mark("o", AFTER),
    "scratch_steps": Mark("s", BEFORE, filled=False),
    "transferred_steps": Mark("o", AFTER, filled=False),
    "optimised": Mark("D", ACCENT),
}
SHARED = ("text", "optimised")  # 0 % and 100 % by definition
SHARES = {"loss": "share of the gain in loss, %", "label": "share of the gain among the labels, %"}
RANKING = "AUROC of the labels"
Line = dict[str, tuple[float, Sequence[float] | None]]  # by prompt, its value and interval


@styled()
def elsewhere(reports: Sequence[Report]) -> Figure:
    """A line a report, its prompts one above the other, each with its 95 % interval; a panel for each thing that some report has.

    Args:
        reports: of one kind, at least one.
    """
    arms = [one.found["arms"] for one in reports]
    drawn = {title: [_shares(found, of) for found in arms] for of, title in SHARES.items()}
    drawn[RANKING] = [_ranks(found) for found in arms]
    drawn = {title: lines for title, lines in drawn.items() if any(lines)}
    columns = max(1, len(drawn))
    figure = Figure(figsize=(1.2 + 2.9 * columns, 1.3 + 0.62 * len(reports)), layout="constrained")
    grid = list(figure.subplots(1, columns, sharey=True, squeeze=False)[0])
    for axes, (title, lines) in zip(grid, drawn.items(), strict=False):
        axes.set_xlabel(title, fontsize=8)
        _panel(axes, lines, *(((0.5,), "") if title == RANKING else ((0, 100), "gain not significant")))
    grid[0].set_yticks(range(len(reports)), [_label(one) for one in reports], fontsize=7.5)
    grid[0].set_ylim(len(reports) - 0.5, -0.5)
    if not drawn:
        drawing.note(grid[0], "no gain of which a share could be told")
    figure.legend(handles=_legend(reports), loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return figure


def _panel(axes: Axes, lines: Sequence[Line], guides: Sequence[float], empty: str) -> None:
    """A line a report; ``empty`` is written where one has nothing to draw."""
    for guide in guides:
        axes.axvline(guide, color=LINK, linewidth=0.8, zorder=0)
    for place in range(1, len(lines)):
        axes.axhline(place - 0.5, color=FAINT, linewidth=0.8, zorder=0)
    for place, line in enumerate(lines):
        if not line:
            blank = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            where: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "center", "va": "center"}
            axes.text(0.5, place, empty, fontsize=6.5, color=GREY, bbox=blank, **where)
        for step, name in enumerate(name for name in MARKS if name in line):
            value, ends = line[name]
            height = place + 0.36 - 0.72 * (step + 0.5) / len(line)
            if ends:
                axes.plot(ends, [height, height], color=MARKS[name].colour, linewidth=1, alpha=0.6, zorder=1)
            axes.plot([value], [height], linestyle="none", zorder=2, **_look(MARKS[name]))
    axes.tick_params(labelsize=7)
    axes.tick_params(axis="y", length=0)


def _look(mark: Mark) -> dict[str, Any]:
    fill = mark.colour if mark.filled else "white"
    return {"marker": mark.shape, "color": mark.colour, "markerfacecolor": fill, "markersize": 4.5}


def _interval(row: dict, of: str) -> list | None:
    found: list | None = row.get("share", {}).get(of, {}).get("interval")
    return found


def _shares(arms: dict, of: str) -> Line:
    """Of each prompt that has one with bounds, in per cent."""
    known = {name: row["share"][of] for name, row in arms.items() if name not in SHARED and _interval(row, of)}
    return {name: (100 * one["value"], [100 * end for end in one["interval"]]) for name, one in known.items()}


def _ranks(arms: dict) -> Line:
    return {name: (row["auroc"], row["auroc_interval"]) for name, row in arms.items() if row.get("auroc") is not None}


def _label(report: Report) -> str:
    if report.source is None:
        return f"{report.dataset}\n{report.model}"
    return f"{report.dataset}: {report.source}\nto {'itself' if report.is_control else report.model}"


def _legend(reports: Sequence[Report]) -> list[Line2D]:
    here = {name for one in reports for name in one.found["arms"]}
    steps = sorted({one.found["settings"].get("steps", 0) for one in reports})
    told = " or ".join(map(str, steps))
    return [
        Line2D([], [], linestyle="none", label=NAMES[name].format(steps=told), **_look(mark))
        for name, mark in MARKS.items()
        if name in here
    ]
