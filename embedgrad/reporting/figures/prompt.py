"""The figure of semantic anchoring (Section 5.1): how close the optimised vectors stay to their words."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from embedgrad.reporting.figures import drawing
from embedgrad.reporting.figures.by_cell import (
    begun,
    dataset_legend,
    datasets_of,
    grid_of,
    legend,
    look,
    mark,
    panels_of,
)
from embedgrad.reporting.figures.drawing import AFTER, BEFORE, GREY, INK, styled
from embedgrad.reporting.results.analyses import read_positions
from embedgrad.reporting.results.cells import Cell, Seeds

PAPER_P = 0.95
SIDES = (("before", BEFORE, "s", "before"), ("after", AFTER, "o", "after"), ("random", GREY, "^", "random, as far"))
# Of several cells in a panel, colours and shapes are the data sets'.
CONTROLS = {"before": ("_", INK, "before, all tasks"), "random": ("x", GREY, "random, as far, all tasks")}


@styled()
def anchoring(cells: Sequence[Cell], folder: str | Path, seeds: Seeds | Sequence[int] | None = None) -> Figure:
    """p of the original token (Eq. 10 as softmax), from ``<folder>/<dataset>/<model>/seed<k>/anchoring.json``.

    Raises:
        UserError: an analysis that lacks a key; names the file.
    """
    panels, grouped = panels_of(cells, Path(folder), seeds, "anchoring.json", read_positions)
    datasets = datasets_of(panels)
    figure, grid = grid_of(panels, 2 + (len(datasets) + len(CONTROLS) if grouped else len(SIDES)))
    analyses = [analysis for panel in panels for analysis in panel.analyses]
    smallest = [_p(row, side) for analysis in analyses for row in analysis["positions"] for side, *_ in SIDES]
    for axes, panel in begun(grid, panels):
        axes.set_yscale("log")
        axes.set_ylim(min([0.1, *smallest]) / 3, 3)
        axes.axhline(PAPER_P, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
        for cell, found in panel.found:
            for analysis in found:
                _points(axes, analysis, datasets.index(cell.dataset) if grouped else None)
        if grouped:
            axes.set_xlim(left=0)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
            axes.set_xlabel(_round_trip(panel.found[0][1]), fontsize=6.3, color=INK, loc="left")
    drawing.name_axes(
        figure, "relative displacement ‖v − e‖ / ‖e‖" if grouped else "prompt position", "p of the original token"
    )
    if grouped:
        handles = dataset_legend(datasets, "none")
        handles += [mark(label, shape, colour, markersize=4) for shape, colour, label in CONTROLS.values()]
    else:
        handles = [mark(label, shape, colour, markersize=4) for _, colour, shape, label in SIDES]
    handles.append(mark("nearest by cosine: another token", "o", INK, mfc="none", markersize=4))
    handles.append(Line2D([], [], color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="paper's 0.95"))
    legend(figure, handles)
    return figure


def _p(row: dict, side: str) -> float:
    # A probability that underflows still has its place on the logarithmic axis.
    return max(row[side]["softmax"]["p"], 1e-12)


def _points(axes: Axes, analysis: dict, dataset: int | None) -> None:
    """One analysis's positions; of several cells in a panel, over how far each was moved, the controls behind."""
    for side, colour, shape, _ in SIDES:
        behind = dataset is not None and side in CONTROLS
        if behind:
            shape, colour, _ = CONTROLS[side]
        elif dataset is not None:
            colour, shape = look(dataset)
        for row in analysis["positions"]:
            kept = behind or row[side]["cosine"]["nearest_id"] == row["token_id"]
            moved = 0.0 if side == "before" else row["drift"]
            axes.plot(
                row["position"] + 1 if dataset is None else moved,
                _p(row, side),
                shape,
                color=colour,
                markersize=3.5,
                markerfacecolor=colour if kept else "none",
                markeredgewidth=0.7,
                clip_on=False,
                zorder=1.5 if behind else 2,
            )


def _round_trip(analyses: Sequence[dict]) -> str:
    """Dev accuracy of the text, the optimised, the snapped and the randomly moved prompt; of the lowest seed."""
    trip = next((analysis["round_trip"] for analysis in analyses if analysis.get("round_trip")), None)
    if not trip:
        return ""
    percent = {side: f"{100 * value:.0f}" for side, value in trip["accuracy"].items()}
    return f"dev %: {percent['before']}→{percent['after']}, words {percent['snapped']}, random {percent['random']}"
