"""What the probes of a run show: one module a probe, with the names that :class:`Shown` lists; files are read, never models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from matplotlib.figure import Figure

from embedgrad.reporting.figures.drawing import note, styled
from embedgrad.reporting.probes import (
    calibration,
    contamination,
    cost,
    robustness,
    shuffled,
    trajectory,
    transfer_matrix,
    variance,
)
from embedgrad.reporting.results.collected import Outcome
from embedgrad.reporting.results.probes import Probed, probed, sound
from embedgrad.reporting.statistics import holm


class Shown(Protocol):
    """What a module of this package has.

    Attributes:
        TITLE: a few words.
        CAPTION: what to see in it, and what would refute it.
        SHAPE: of a result that applies, as :func:`embedgrad_core.files.misfit` takes it.

    A module may have ``fault`` too: a result of this shape → the key at which it is impossible, or None. And ``TESTS``: the columns
    of its table that are p values, which Holm's correction is added to, over all lines of all cells.
    """

    TITLE: str
    CAPTION: str
    SHAPE: Any

    def lines(self, values: dict) -> list[dict]:
        """The lines of a cell in the probe's table: by column text, a rounded number, None, or a number with its interval."""

    def sentence(self, found: Sequence[Probed]) -> str:
        """What the cells on which the probe applies say together; there is at least one."""

    def figure(self, found: Sequence[Probed]) -> Figure:
        """The same cells as a figure."""


NOWHERE = "It applies to no cell of this run."
# In the order of the page.
PROBES: dict[str, Shown] = {
    "calibration": calibration,
    "shuffled": shuffled,
    "trajectory": trajectory,
    "contamination": contamination,
    "robustness": robustness,
    "variance": variance,
    "transfer_matrix": transfer_matrix,
    "cost": cost,
}


def found_by(name: str, outcomes: Sequence[Outcome], folder: str | Path) -> list[Probed]:
    """What a probe found of each cell that has it.

    Raises:
        UserError: a file that is not a result of this probe, or not of its cell's model, prompt or data.
    """
    return probed(outcomes, folder, name, PROBES[name].SHAPE, getattr(PROBES[name], "fault", sound))


def rows(name: str, found: Sequence[Probed]) -> list[dict]:
    """The table of a probe; a cell on which it does not apply has one line with the reason, under ``note``."""
    table = []
    for one in found:
        lines = [{"note": f"does not apply: {one.reason}"}] if one.values is None else PROBES[name].lines(one.values)
        table += [one.where | line for line in lines]
    for column in getattr(PROBES[name], "TESTS", ()):
        table = _corrected(table, column)
    return table


def _corrected(table: Sequence[dict], column: str) -> list[dict]:
    """The lines with Holm's p beside the p in ``column``, both rounded to two digits."""
    adjusted = iter(holm([line[column] for line in table if column in line]))

    def cells(key: str, value: object) -> dict:
        if key != column:
            return {key: value}
        return {key: float(f"{value:.2g}"), f"{key}_holm": float(f"{next(adjusted):.2g}")}

    return [{name: one for key, value in line.items() for name, one in cells(key, value).items()} for line in table]


def drawn(name: str, found: Sequence[Probed]) -> Figure:
    """The figure of a probe; where it applies to no cell, that sentence."""
    some = applying(found)
    return PROBES[name].figure(some) if some else _nothing()


@styled()
def _nothing() -> Figure:
    figure = Figure(figsize=(5, 1.2))
    axes = figure.add_subplot()
    axes.axis("off")
    note(axes, NOWHERE)
    return figure


def applying(found: Sequence[Probed]) -> list[Probed]:
    """The cells on which a probe applies."""
    return [one for one in found if one.values is not None]
