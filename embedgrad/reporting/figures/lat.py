"""Figure 3: the change of activation by layer, as each of LAT's two readers sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from embedgrad.reporting.figures import drawing
from embedgrad.reporting.figures.by_cell import (
    Panel,
    begun,
    dataset_legend,
    datasets_of,
    grid_of,
    legend,
    look,
    mark,
    panels_of,
)
from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, FAINT, GREY, INK, LINK, styled
from embedgrad.reporting.results.analyses import interval_of, main_reading, read_lat, separates
from embedgrad.reporting.results.cells import Cell, Seeds

READERS = ("template", "responses")
READINGS = (
    ("prompt_mean", AFTER, "o", "prompt positions, mean"),
    ("prompt_last", BEFORE, "s", "last prompt position"),
    ("input_last", ACCENT, "^", "last input token"),
)


@dataclass(frozen=True)
class ReaderPanel(Panel):
    """A panel of what one reader found."""

    reader: str = ""


@styled()
def lat(cells: Sequence[Cell], folder: str | Path, seeds: Seeds | Sequence[int] | None = None) -> Figure:
    """The change of activation by layer, from ``<folder>/<dataset>/<model>/seed<k>/lat.json``; the template's reader comes first.

    Raises:
        UserError: an analysis that lacks a key; names the file.
    """
    found, grouped = panels_of(cells, Path(folder), seeds, "lat.json", read_lat)
    panels = [_of_reader(panel, reader) for panel in found for reader in READERS]
    datasets = datasets_of(found)
    handles: list[Line2D | Patch]
    if grouped:
        handles = [*dataset_legend(datasets, "-")]
        handles.append(Patch(color=FAINT, linewidth=0, label="random directions, 95 %, all tasks"))
        handles.append(Patch(color=LINK, linewidth=0, label="prompts moved at random, all tasks"))
    else:
        handles = [
            Line2D([], [], marker=shape, color=colour, markersize=3.5, linewidth=1.2, label=label)
            for _, colour, shape, label in READINGS
        ]
        handles.append(Patch(color=FAINT, linewidth=0, label="random directions, 95 %"))
        handles.append(Line2D([], [], color=GREY, linewidth=0.8, linestyle=":", label="prompt moved at random"))
    handles.append(mark("direction no better than random", "o", INK, mfc="white", markersize=3.5))
    figure, grid = grid_of(panels, len(handles))
    for axes, panel in begun(grid, panels):
        axes.axhline(0, color=LINK, linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        if grouped:
            _all_controls(axes, panel)
        for cell, analyses in panel.found:
            for layers in (analysis["layers"] for analysis in analyses):
                main = main_reading(panel.reader, layers)
                if grouped:
                    _by_layer(axes, layers, main, *look(datasets.index(cell.dataset)))
                    continue
                _controls(axes, layers, main)
                for name, colour, shape, _ in READINGS:
                    if name in layers[0]["readings"]:
                        _by_layer(axes, layers, name, colour, shape)
    drawing.name_axes(figure, "layer (0: embeddings)", "activation, after − before, in sd")
    legend(figure, handles)
    return figure


def _of_reader(panel: Panel, reader: str) -> ReaderPanel:
    found = [
        (cell, [analysis["readers"][reader] for analysis in analyses if reader in analysis["readers"]])
        for cell, analyses in panel.found
    ]
    why = "not computed" if any(analyses for _, analyses in panel.found) else panel.why
    first, *rest = panel.title.split("\n")
    title = "\n".join([f"{first}, {reader}", *rest] if rest else [reader, first])
    return ReaderPanel(title, found, why, reader)


def _by_layer(axes: Axes, layers: Sequence[dict], name: str, colour: str, shape: str) -> None:
    """Deltas with their interval: over pairs and items where there are items, else over pairs."""
    rows = [row["readings"][name] for row in layers]
    at = [row["layer"] for row in layers]
    low, high = zip(*map(interval_of, rows), strict=True)
    axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(at, [row["delta"] for row in rows], color=colour, linewidth=1.2)
    for row, reading in zip(layers, rows, strict=True):
        face = colour if separates(row) else "white"
        axes.plot(row["layer"], reading["delta"], shape, color=colour, markersize=3.5, markerfacecolor=face, mew=0.8)


def _controls(axes: Axes, layers: Sequence[dict], name: str) -> None:
    """The band of random directions, and the deltas of prompts moved at random."""
    rows = [row["readings"][name] for row in layers]
    at = [row["layer"] for row in layers]
    low, high = zip(*(row["random"] for row in rows), strict=True)
    axes.fill_between(at, low, high, color=FAINT, linewidth=0, zorder=0)
    for moved in zip(*(row["displaced"] for row in rows), strict=False):
        axes.plot(at, moved, color=GREY, linewidth=0.8, linestyle=":")


def _all_controls(axes: Axes, panel: ReaderPanel) -> None:
    """The controls of all cells of a panel as two bands; the axis fits what was measured, which they may reach beyond."""
    by_layer: dict[int, list[dict]] = {}
    for analysis in panel.analyses:
        main = main_reading(panel.reader, analysis["layers"])
        for row in analysis["layers"]:
            by_layer.setdefault(row["layer"], []).append(row["readings"][main])
    for name, colour in (("random", FAINT), ("displaced", LINK)):
        bands = {at: [end for row in rows for end in row[name]] for at, rows in sorted(by_layer.items())}
        drawn = {at: ends for at, ends in bands.items() if ends}
        lows, highs = [min(ends) for ends in drawn.values()], [max(ends) for ends in drawn.values()]
        axes.fill_between(list(drawn), lows, highs, color=colour, linewidth=0, zorder=0)
    shown = [end for rows in by_layer.values() for row in rows for end in (*interval_of(row), row["delta"])]
    margin = 0.08 * (max(shown) - min(shown)) or 0.1
    axes.set_ylim(min(shown) - margin, max(shown) + margin)
