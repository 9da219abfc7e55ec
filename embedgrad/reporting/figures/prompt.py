"""The figures of what the optimised vectors are: semantic anchoring (Section 5.1) and activation by layer (Figure 3).

Up to twelve cells have a panel each; more are grouped by model, one colour per data set. A cell that did not run is named.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, FAINT, GREY, INK, save, styled
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


def draw_anchoring(
    cells: Sequence[Cell], folder: str | Path, seeds: Seeds | Sequence[int] | None, *paths: str | Path
) -> None:
    """Draw p of the original token (Eq. 10 as softmax) from ``<folder>/<dataset>/<model>/seed<k>/anchoring.json``.

    Raises:
        UserError: an analysis that lacks a key; names the file.
    """
    with styled():
        save(anchoring(cells, folder, seeds), *paths)


def draw_lat(
    cells: Sequence[Cell], folder: str | Path, seeds: Seeds | Sequence[int] | None, *paths: str | Path
) -> None:
    """Draw the change of activation by layer from ``<folder>/<dataset>/<model>/seed<k>/lat.json``.

    Raises:
        UserError: an analysis that lacks a key; names the file.
    """
    with styled():
        save(lat(cells, folder, seeds), *paths)


def anchoring(cells: Sequence[Cell], folder: str | Path, seeds: Seeds | Sequence[int] | None = None) -> Figure:
    """The small multiples; see ``draw_anchoring``."""
    panels, grouped = _panels(cells, Path(folder), seeds, "anchoring.json", read_positions)
    figure, grid = _grid(panels)
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    analyses = [analysis for panel in panels for _, found in panel.found for analysis in found]
    smallest = [_p(row, side) for analysis in analyses for row in analysis["positions"] for side, *_ in SIDES]
    for axes, panel in zip(grid, panels, strict=True):
        if not _begin(axes, panel):
            continue
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
    _axis_names(
        figure, "relative displacement ‖v − e‖ / ‖e‖" if grouped else "prompt position", "p of the original token"
    )
    if grouped:
        handles = _dataset_legend(datasets, "none")
    else:
        handles = [
            Line2D([], [], linestyle="none", marker=shape, color=colour, markersize=4, label=label)
            for _, colour, shape, label in SIDES
        ]
    handles.append(
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            mfc="none",
            mec=INK,
            markersize=4,
            label="nearest by cosine: another token",
        )
    )
    handles.append(Line2D([], [], color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="paper's 0.95"))
    _legend(figure, handles)
    return figure


def lat(cells: Sequence[Cell], folder: str | Path, seeds: Seeds | Sequence[int] | None = None) -> Figure:
    """The small multiples; see ``draw_lat``."""
    panels, grouped = _panels(cells, Path(folder), seeds, "lat.json", read_lat)
    figure, grid = _grid(panels)
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    for axes, panel in zip(grid, panels, strict=True):
        if not _begin(axes, panel):
            continue
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
    _axis_names(figure, "layer (0: embeddings)", "activation, after − before, in sd")
    handles: list[Line2D | Patch]
    if grouped:
        handles = [*_dataset_legend(datasets, "-")]
    else:
        handles = [
            Line2D([], [], marker=shape, color=colour, markersize=3.5, linewidth=1.2, label=label)
            for _, colour, shape, label in READINGS
        ]
        handles.append(Patch(color=FAINT, linewidth=0, label="random directions, 95 %"))
    handles.append(
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            mfc="white",
            mec=INK,
            markersize=3.5,
            label="direction no better than random",
        )
    )
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
    rows = math.ceil(len(panels) / columns)
    head, foot = 0.85, 0.55
    width, height = max(2.45 * columns + 0.75, 6.4), 1.95 * rows + head + foot
    figure = Figure(figsize=(width, height))
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.8 / width,
        right=1 - 0.2 / width,
        top=1 - (head + 0.1) / height,
        bottom=(foot + 0.15) / height,
        hspace=0.75,
        wspace=0.4,
    )
    return figure, [figure.add_subplot(grid[place // columns, place % columns]) for place in range(len(panels))]


def _begin(axes: Axes, panel: Panel) -> bool:
    """Title a panel; whether there is anything to draw in it."""
    axes.set_title(panel.title, fontsize=7.5, loc="left", parse_math=False)
    axes.tick_params(labelsize=7)
    missing = [cell.dataset for cell, analyses in panel.found if not analyses]
    if len(missing) == len(panel.found):
        axes.set_xticks([])
        axes.set_yticks([])
        place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
        axes.text(0.5, 0.5, "missing: not run yet", fontsize=8, style="italic", color=GREY, **place)
        return False
    if missing:
        note = short(f"missing: {', '.join(missing)}", 30)
        axes.set_title(f"{panel.title}\n{note}", fontsize=7.5, loc="left", parse_math=False)
    return True


def _look(dataset: int) -> tuple[str, str]:
    return COLOURS[dataset % len(COLOURS)], SHAPES[dataset % len(SHAPES)]


def _dataset_legend(datasets: Sequence[str], line: Literal["-", "none"]) -> list[Line2D]:
    looks = [_look(place) for place in range(len(datasets))]
    return [
        Line2D([], [], linestyle=line, marker=shape, color=colour, markersize=3.5, linewidth=1.2, label=name)
        for name, (colour, shape) in zip(datasets, looks, strict=True)
    ]


def _axis_names(figure: Figure, across: str, up: str) -> None:
    figure.supxlabel(across, fontsize=9, y=0.12 / figure.get_figheight())
    figure.supylabel(up, fontsize=9, x=0.08 / figure.get_figwidth())


def _legend(figure: Figure, handles: list) -> None:
    columns = 3 if figure.get_figwidth() < 8 else 5
    figure.legend(
        handles=handles, loc="upper center", ncols=columns, frameon=False, fontsize=8, bbox_to_anchor=(0.5, 1.0)
    )
