"""The cells of a run: one row of ``config/cells.tsv`` each, with what the paper prints for it.

The numbers are text, exactly as Table 2 prints them, misprints included (Δ of the 0.5B causal judgment row is +10.58
where its own before and after give 10.52). Two differences of form only: the arrows are left out, and the last row's
Δ, printed "+ 2.11", stands here without its space. A run that replicates nothing leaves the three columns empty.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embedgrad.reporting.tables import read_tsv
from embedgrad_core.files import UserError

COLUMNS = ("dataset", "task", "level", "model", "before", "after", "delta", "learning_rate", "epochs")
PRINTED = ("before", "after", "delta")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]+)?")
_DELTA = re.compile(r"[+-][0-9]{1,3}(\.[0-9]+)?")


@dataclass(frozen=True)
class Cell:
    """One cell of the table.

    ``dataset`` is the task, with ``-L<level>`` when the cell is one level of it; ``before``, ``after`` and ``delta``
    are the paper's percentages as printed, or None where it prints nothing.
    """

    dataset: str
    task: str
    level: str | None
    model: str
    before: str | None
    after: str | None
    delta: str | None
    learning_rate: float
    epochs: int

    @property
    def name(self) -> str:
        """``dataset/model``: how messages and folders name the cell."""
        return f"{self.dataset}/{self.model}"

    @property
    def paper(self) -> dict[str, str] | None:
        """What the paper prints for this cell, in percent and as text, or None."""
        if self.before is None or self.after is None or self.delta is None:
            return None
        return {"before": self.before, "after": self.after, "delta": self.delta}


class Seeds:
    """The seeds of a run: the same for all tasks but those that have seeds of their own.

    Args:
        text: seeds separated by commas, then for each task that differs its own: ``0,1,2;math500=0``.

    Raises:
        UserError: not written so.
    """

    def __init__(self, text: str) -> None:
        common, *own = text.split(";")
        self._common = _seed_list(common, text)
        self._own = {}
        for part in own:
            task, equals, seeds = part.partition("=")
            if not equals or not _NAME.fullmatch(task):
                raise UserError(f"seeds are {text!r}; write them like 0,1,2 or 0,1,2;math500=0.")
            self._own[task] = _seed_list(seeds, text)

    def of(self, task: str) -> list[int]:
        """The seeds of a task's cells."""
        return self._own.get(task, self._common)


def seeds_in(home: Path, seeds: Seeds | Sequence[int] | None, task: str) -> list[int]:
    """The seeds of a cell, lowest first; None takes those that have a folder in ``home``."""
    if seeds is None:
        names = (path.name.removeprefix("seed") for path in home.glob("seed*") if path.is_dir())
        return sorted(int(name) for name in names if name.isdecimal())
    return sorted(seeds.of(task) if isinstance(seeds, Seeds) else seeds)


def _seed_list(text: str, whole: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 20 for part in parts):
        raise UserError(f"seeds are {whole!r}; write them like 0,1,2 or 0,1,2;math500=0.")
    return [int(part) for part in parts]


def read_cells(path: str | Path) -> list[Cell]:
    """Read and check a table of cells, in the order of its lines.

    Raises:
        UserError: a missing file or column, a bad value, or two lines for one cell; the message names file and line.
    """
    cells: list[Cell] = []
    seen: dict[str, int] = {}
    for number, row in read_tsv(path, COLUMNS, "config/cells.tsv"):
        cell = _cell(row, f"{path}:{number}")
        if cell.name in seen:
            raise UserError(f"{path}:{number}: {cell.name} stands at line {seen[cell.name]} too; keep one of them.")
        seen[cell.name] = number
        cells.append(cell)
    if not cells:
        raise UserError(f"{path}: no cells below the header; add at least one line.")
    return cells


def find_cell(cells: Sequence[Cell], dataset: str, model: str, table: str | Path) -> Cell:
    """The cell of a data set and a model in ``cells``, the lines of ``table``.

    Raises:
        UserError: there is none.
    """
    cell = next((cell for cell in cells if (cell.dataset, cell.model) == (dataset, model)), None)
    if cell is None:
        raise UserError(f"{table}: no cell {dataset}/{model}.")
    return cell


def _cell(row: dict[str, str], where: str) -> Cell:
    for key in ("task", "model"):
        if not _NAME.fullmatch(row[key]):
            raise UserError(
                f"{where}: {key} is {row[key]!r}; use lower-case letters, digits, dots, dashes and underscores."
            )
    if row["level"] and not re.fullmatch(r"[0-9]{1,9}", row["level"]):
        raise UserError(f"{where}: level is {row['level']!r}; it must be a whole number, or empty.")
    dataset = f"{row['task']}-L{row['level']}" if row["level"] else row["task"]
    if row["dataset"] != dataset:
        raise UserError(f"{where}: dataset is {row['dataset']!r}, but task and level make it {dataset!r}.")
    for key, pattern, example in (("before", _PERCENT, "14.74"), ("after", _PERCENT, "58.96"), ("delta", _DELTA, "+2")):
        if row[key] and (not pattern.fullmatch(row[key]) or abs(float(row[key])) > 100):
            raise UserError(f"{where}: {key} is {row[key]!r}; it must be a percentage like {example}, or empty.")
    if len({bool(row[key]) for key in PRINTED}) > 1:
        raise UserError(f"{where}: before, after and delta must be all given or all empty.")
    return Cell(
        dataset=dataset,
        task=row["task"],
        level=row["level"] or None,
        model=row["model"],
        before=row["before"] or None,
        after=row["after"] or None,
        delta=row["delta"] or None,
        learning_rate=_positive(float, row, "learning_rate", where),
        epochs=int(_positive(int, row, "epochs", where)),
    )


def _positive(kind: type[int] | type[float], row: dict[str, str], key: str, where: str) -> float:
    try:
        value: float = kind(row[key])
    except ValueError:
        value = 0
    if not 0 < value < 1e9:
        raise UserError(f"{where}: {key} is {row[key]!r}; it must be a positive number.")
    return value
