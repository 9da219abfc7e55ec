"""The gain of a cell over all of its seeds, from the answers of each: one number with one interval, wherever it is shown."""

from collections.abc import Collection, Sequence
from pathlib import Path

from embedgrad.reporting.results.answers import answer_files, read_answers
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.statistics import Crossed, crossed
from embedgrad_core.files import UserError


def pooled_gain(
    cell: Cell, metrics: Sequence[dict], folder: str | Path, against: Collection[str] | None = None
) -> Crossed | None:
    """The gain over seeds and items as crossed random effects; None where there are fewer than two seeds or items.

    Args:
        cell: the cell.
        metrics: those of its seeds.
        folder: ``results/<run>``.
        against: the items that something else answered rightly; None compares with the text prompt's own answers.

    Returns:
        Points; None also where the answers of a seed are not there.

    Raises:
        UserError: answers that cannot be read, or seeds that answered other items; names the file.
    """
    files = [answer_files(cell, one["cell"]["seed"], folder) for one in metrics]
    if len(metrics) < 2 or not all(path.exists() for sides in files for path in sides.values()):
        return None
    table: list[list[int]] = []
    items: list[str] = []
    for one, sides in zip(metrics, files, strict=True):
        answers = read_answers(cell, one, folder)
        gain = {
            after["id"]: after["correct"] - (before["correct"] if against is None else after["id"] in against)
            for before, after in zip(answers["before"], answers["after"], strict=True)
        }
        items = items or sorted(gain)
        if sorted(gain) != items:
            raise UserError(f"{sides['after']}: other items than another seed's; decode again.")
        table.append([gain[key] for key in items])
    return crossed(table) if len(items) > 1 else None
