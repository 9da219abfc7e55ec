"""Figure 3: the change of activation by layer."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from embedgrad.reporting.figures import drawing
from embedgrad.reporting.figures.by_cell import begun, dataset_legend, grid_of, legend, look, mark, panels_of
from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, FAINT, GREY, INK, styled
from embedgrad.reporting.results.analyses import read_lat
from embedgrad.reporting.results.cells import Cell, Seeds

READINGS = (
    ("prompt_mean", AFTER, "o", "prompt positions, mean"),
    ("prompt_last", BEFORE, "s", "last prompt position"),
    ("input_last", ACCENT, "^", "last input token"),
)
LONE_READING = "prompt_mean"  # of panels that hold several cells


@styled()
def lat(cells: Sequence[Cell], folder: str | Path, seeds: Seeds | Sequence[int] | None = None) -> Figure:
    """The change of activation by layer, from ``<folder>/<dataset>/<model>/seed<k>/lat.json``.

    Raises:
        UserError: an analysis that lacks a key; names the file.
    """
    panels, grouped = panels_of(cells, Path(folder), seeds, "lat.json", read_lat)
    figure, grid = grid_of(panels)
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    for axes, panel in begun(grid, panels):
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        for cell, found in panel.found:
            for analysis in found:
                if grouped:
                    _by_layer(axes, analysis["layers"], LONE_READING, *look(datasets.index(cell.dataset)))
                    continue
                _random_band(axes, analysis["layers"])
                for name, colour, shape, _ in READINGS:
                    if name in analysis["layers"][0]["readings"]:
                        _by_layer(axes, analysis["layers"], name, colour, shape)
    drawing.name_axes(figure, "layer (0: embeddings)", "activation, after − before, in sd")
    handles: list[Line2D | Patch]
    if grouped:
        handles = [*dataset_legend(datasets, "-")]
    else:
        handles = [
            Line2D([], [], marker=shape, color=colour, markersize=3.5, linewidth=1.2, label=label)
            for _, colour, shape, label in READINGS
        ]
        handles.append(Patch(color=FAINT, linewidth=0, label="random directions, 95 %"))
    handles.append(mark("direction no better than random", "o", INK, mfc="white", markersize=3.5))
    legend(figure, handles)
    return figure


def _by_layer(axes: Axes, layers: Sequence[dict], name: str, colour: str, shape: str) -> None:
    rows = [row["readings"][name] for row in layers]
    at = [row["layer"] for row in layers]
    axes.fill_between(
        at, [row["band"][0] for row in rows], [row["band"][1] for row in rows], color=colour, alpha=0.15, linewidth=0
    )
    axes.plot(at, [row["delta"] for row in rows], color=colour, linewidth=1.2)
    for row, reading in zip(layers, rows, strict=True):
        separates = row["accuracy"]["held_out"] > row["accuracy"]["random"]["q975"]
        face = colour if separates else "white"
        axes.plot(row["layer"], reading["delta"], shape, color=colour, markersize=3.5, markerfacecolor=face, mew=0.8)


def _random_band(axes: Axes, layers: Sequence[dict]) -> None:
    rows = [row["readings"][LONE_READING]["random"] for row in layers]
    at = [row["layer"] for row in layers]
    axes.fill_between(at, [row[0] for row in rows], [row[1] for row in rows], color=FAINT, linewidth=0, zorder=0)
