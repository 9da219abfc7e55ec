"""One panel a cell, what was found of its seeds in it; many cells are grouped by model, one colour per data set.

Up to twelve cells have a panel each. A cell that did not run is named.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from embedgrad.reporting.figures import drawing
from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, INK
from embedgrad.reporting.results.cells import Cell, Seeds, seeds_in
from embedgrad.reporting.typeset import short

MOST_PANELS = 12
# Okabe and Ito's, without the yellow that vanishes on white; shapes repeat at another period.
COLOURS = (AFTER, BEFORE, ACCENT, "#CC79A7", "#E69F00", "#56B4E9", INK)
SHAPES = ("o", "s", "^", "D", "v")


@dataclass(frozen=True)
class Panel:
    """A panel: its title and, cell by cell, the analyses of the seeds that ran."""

    title: str
    found: list[tuple[Cell, list[dict]]]
    why: str = "not run yet"  # of what is missing

    @property
    def analyses(self) -> list[dict]:
        """Of all cells and seeds."""
        return [analysis for _, analyses in self.found for analysis in analyses]


P = TypeVar("P", bound=Panel)


def panels_of(
    cells: Sequence[Cell], folder: Path, seeds: Seeds | Sequence[int] | None, name: str, read: Callable[[Path], dict]
) -> tuple[list[Panel], bool]:
    """A panel per cell, or per model, and whether they are per model; each seed's file ``name`` is read by ``read``."""
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


def grid_of(panels: Sequence[Panel], entries: int) -> tuple[Figure, list[Axes]]:
    """A figure with as many axes, four a row, and room above them for a legend of so many entries."""
    columns = min(4, len(panels))
    width = max(2.45 * columns + 0.75, 6.4)
    head = max(0.85, 0.4 + 0.17 * math.ceil(entries / _legend_columns(width)))
    figure = Figure(figsize=(width, 1.95 * math.ceil(len(panels) / columns) + head + 0.55))
    axes = drawing.panels(figure, len(panels), columns, (0.8, 0.2, head + 0.1, 0.55 + 0.15), hspace=0.75, wspace=0.4)
    return figure, list(axes)


def _legend_columns(width: float) -> int:
    return 3 if width < 10 else 5


def begun(grid: Sequence[Axes], panels: Sequence[P]) -> Iterator[tuple[Axes, P]]:
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
            drawing.note(axes, f"missing: {panel.why}")


def datasets_of(panels: Sequence[Panel]) -> list[str]:
    """The data sets that any panel has something of, in the order of the cells."""
    return list(dict.fromkeys(cell.dataset for panel in panels for cell, analyses in panel.found if analyses))


def look(dataset: int) -> tuple[str, str]:
    """Colour and shape of a data set, by its place."""
    return COLOURS[dataset % len(COLOURS)], SHAPES[dataset % len(SHAPES)]


def dataset_legend(datasets: Sequence[str], line: Literal["-", "none"]) -> list[Line2D]:
    """A legend entry per data set."""
    looks = [look(place) for place in range(len(datasets))]
    return [
        Line2D([], [], linestyle=line, marker=shape, color=colour, markersize=3.5, linewidth=1.2, label=name)
        for name, (colour, shape) in zip(datasets, looks, strict=True)
    ]


def mark(label: str, shape: str, colour: str, **look: Any) -> Line2D:
    """A legend entry for a mark without a line."""
    return Line2D([], [], linestyle="none", marker=shape, color=colour, label=label, **look)


def legend(figure: Figure, handles: list) -> None:
    """The legend, as wide as the figure allows."""
    drawing.legend(figure, handles, columns=_legend_columns(figure.get_figwidth()))
