"""The figures of what the optimised vectors are: semantic anchoring (Section 5.1) and activation by layer (Figure 3).

Up to twelve cells have a panel each; more are grouped by model, one colour per data set. A cell that did not run is named.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from embedgrad.reporting.figures import drawing
from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, FAINT, GREY, INK, styled
from embedgrad.reporting.results.analyses import read_lat, read_positions
from embedgrad.reporting.results.cells import Cell, Seeds, seeds_in
from embedgrad.reporting.typeset import short

MOST_PANELS = 12
PAPER_P = 0.95
# Okabe and Ito's, without the yellow that vanishes on white; shapes repeat at another period.
COLOURS = (AFTER, BEFORE, ACCENT, "#CC79A7", "#E69F00", "#56B4E9", INK)
SHAPES = ("o", "s", "^", "D", "v")
SIDES = (("before", BEFORE, "s", "before"), ("after", AFTER, "o", "after"), ("random", GREY, "^", "random, as far"))
READINGS = (
    ("prompt_mean", AFTER, "o", "prompt positions, mean"),
    ("prompt_last", BEFORE, "s", "last prompt position"),
    ("input_last", ACCENT, "^", "last input token"),
)
LONE_READING = "prompt_mean"  # of panels that hold several cells


@dataclass(frozen=True)
class Panel:
    """A panel: its title and, cell by cell, the analyses of the seeds that ran."""

    title: str
    found: list[tuple[Cell, list[dict]]]


@styled()
def anchoring(cells: Sequence[Cell], folder: str | Path, seeds: Seeds | Sequence[int] | None = None) -> Figure:
    """p of the original token (Eq. 10 as softmax), from ``<folder>/<dataset>/<model>/seed<k>/anchoring.json``.

    Raises:
        UserError: an analysis that lacks a key; names the file.
    """
    panels, grouped = _panels(cells, Path(folder), seeds, "anchoring.json", read_positions)
    figure, grid = _grid(panels)
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    analyses = [analysis for panel in panels for _, found in panel.found for analysis in found]
    smallest = [_p(row, side) for analysis in analyses for row in analysis["positions"] for side, *_ in SIDES]
    for axes, panel in _begun(grid, panels):
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
        handles = _dataset_legend(datasets, "none")
    else:
        handles = [_mark(label, shape, colour, markersize=4) for _, colour, shape, label in SIDES]
    handles.append(_mark("nearest by cosine: another token", "o", INK, mfc="none", markersize=4))
    handles.append(Line2D([], [], color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="paper's 0.95"))
    _legend(figure, handles)
    return figure


@styled()
def lat(cells: Sequence[Cell], folder: str | Path, seeds: Seeds | Sequence[int] | None = None) -> Figure:
    """The change of activation by layer, from ``<folder>/<dataset>/<model>/seed<k>/lat.json``.

    Raises:
        UserError: an analysis that lacks a key; names the file.
    """
    panels, grouped = _panels(cells, Path(folder), seeds, "lat.json", read_lat)
    figure, grid = _grid(panels)
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    for axes, panel in _begun(grid, panels):
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        for cell, found in panel.found:
            for analysis in found:
                if grouped:
                    _by_layer(axes, analysis["layers"], LONE_READING, *_look(datasets.index(cell.dataset)))
                    continue
                _random_band(axes, analysis["layers"])
                for name, colour, shape, _ in READINGS:
                    if name in analysis["layers"][0]["readings"]:
                        _by_layer(axes, analysis["layers"], name, colour, shape)
    drawing.name_axes(figure, "layer (0: embeddings)", "activation, after − before, in sd")
    handles: list[Line2D | Patch]
    if grouped:
        handles = [*_dataset_legend(datasets, "-")]
    else:
        handles = [
            Line2D([], [], marker=shape, color=colour, markersize=3.5, linewidth=1.2, label=label)
            for _, colour, shape, label in READINGS
        ]
        handles.append(Patch(color=FAINT, linewidth=0, label="random directions, 95 %"))
    handles.append(_mark("direction no better than random", "o", INK, mfc="white", markersize=3.5))
    _legend(figure, handles)
    return figure


def _p(row: dict, side: str) -> float:
    # A probability that underflows still has its place on the logarithmic axis.
    return max(row[side]["softmax"]["p"], 1e-12)


def _points(axes: Axes, analysis: dict, dataset: int | None) -> None:
    """One analysis's positions; of several cells in a panel, the optimised vectors alone."""
    for side, colour, shape, _ in SIDES:
        if dataset is not None:
            if side != "after":
                continue
            colour, shape = _look(dataset)
        for row in analysis["positions"]:
            kept = row[side]["cosine"]["nearest_id"] == row["token_id"]
            axes.plot(
                row["position"] + 1 if dataset is None else row["drift"],
                _p(row, side),
                shape,
                color=colour,
                markersize=3.5,
                markerfacecolor=colour if kept else "none",
                markeredgewidth=0.7,
                clip_on=False,
            )


def _round_trip(analyses: Sequence[dict]) -> str:
    """Dev accuracy of the text, the optimised, the snapped and the randomly moved prompt; of the lowest seed."""
    trip = next((analysis["round_trip"] for analysis in analyses if analysis.get("round_trip")), None)
    if not trip:
        return ""
    percent = {side: f"{100 * value:.0f}" for side, value in trip["accuracy"].items()}
    return f"dev %: {percent['before']}→{percent['after']}, words {percent['snapped']}, random {percent['random']}"


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


def _panels(
    cells: Sequence[Cell], folder: Path, seeds: Seeds | Sequence[int] | None, name: str, read: Callable[[Path], dict]
) -> tuple[list[Panel], bool]:
    found = [(cell, _reports(cell, folder, seeds, name, read)) for cell in cells]
    if len(cells) <= MOST_PANELS:
        return [Panel(f"{cell.dataset}\n{cell.model}", [(cell, analyses)]) for cell, analyses in found], False
    models = dict.fromkeys(cell.model for cell in cells)
    return [Panel(model, [pair for pair in found if pair[0].model == model]) for model in models], True


def _reports(
    cell: Cell, folder: Path, seeds: Seeds | Sequence[int] | None, name: str, read: Callable[[Path], dict]
) -> list[dict]:
    home = folder / cell.dataset / cell.model
    paths = [home / f"seed{seed}" / name for seed in seeds_in(home, seeds, cell.task)]
    return [read(path) for path in paths if path.exists()]


def _grid(panels: Sequence[Panel]) -> tuple[Figure, list[Axes]]:
    columns = min(4, len(panels))
    height = 1.95 * math.ceil(len(panels) / columns) + 0.85 + 0.55  # head and foot
    figure = Figure(figsize=(max(2.45 * columns + 0.75, 6.4), height))
    axes = drawing.panels(figure, len(panels), columns, (0.8, 0.2, 0.95, 0.55 + 0.15), hspace=0.75, wspace=0.4)
    return figure, list(axes)


def _begun(grid: Sequence[Axes], panels: Sequence[Panel]) -> Iterator[tuple[Axes, Panel]]:
    """Title every panel, and yield those in which there is something to draw."""
    for axes, panel in zip(grid, panels, strict=True):
        missing = [cell.dataset for cell, analyses in panel.found if not analyses]
        anything = len(missing) < len(panel.found)
        note = "\n" + short(f"missing: {', '.join(missing)}", 30) if missing and anything else ""
        drawing.title(axes, panel.title + note)
        if anything:
            yield axes, panel
        else:
            axes.set_xticks([])
            axes.set_yticks([])
            drawing.note(axes, "missing: not run yet")


def _look(dataset: int) -> tuple[str, str]:
    return COLOURS[dataset % len(COLOURS)], SHAPES[dataset % len(SHAPES)]


def _dataset_legend(datasets: Sequence[str], line: Literal["-", "none"]) -> list[Line2D]:
    looks = [_look(place) for place in range(len(datasets))]
    return [
        Line2D([], [], linestyle=line, marker=shape, color=colour, markersize=3.5, linewidth=1.2, label=name)
        for name, (colour, shape) in zip(datasets, looks, strict=True)
    ]


def _mark(label: str, shape: str, colour: str, **look: Any) -> Line2D:
    return Line2D([], [], linestyle="none", marker=shape, color=colour, label=label, **look)


def _legend(figure: Figure, handles: list) -> None:
    drawing.legend(figure, handles, columns=3 if figure.get_figwidth() < 8 else 5)
