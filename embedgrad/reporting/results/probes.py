"""What the probes of a run left on disk: ``<dataset>/<model>/seed<k>/probes/<name>.json``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedgrad.reporting.results.cells import Cell, Seeds, seeds_in
from embedgrad_core.files import UserError, misfit, read_json


@dataclass(frozen=True)
class Probed:
    """What a probe found of one cell and seed.

    Attributes:
        cell, seed: where.
        values: what it found; None where it does not apply.
        reason: why it does not.
    """

    cell: Cell
    seed: int
    values: dict | None
    reason: str = ""

    @property
    def where(self) -> dict:
        """The columns that say which cell a line is of."""
        return {"dataset": self.cell.dataset, "model": self.cell.model, "seed": self.seed}


def read_probe(path: str | Path, name: str, shape: Any) -> tuple[dict | None, str]:
    """One file of a probe: what it found and ``""``, or None and why it does not apply.

    Args:
        shape: of what it found, as :func:`embedgrad_core.files.misfit` takes it.

    Raises:
        UserError: it cannot be read, is of another probe, or a key is missing or of the wrong kind; names file and key.
    """
    found = read_json(path)
    wrong = misfit(found, {"probe": str, "applies": bool})
    if not wrong and found["probe"] != name:
        raise UserError(f"{path}: a result of the probe {found['probe']!r}, not {name!r}; delete it and make it again.")
    wrong = wrong or misfit(found, shape if found["applies"] else {"reason": str})
    if wrong:
        raise UserError(f"{path}: key {wrong} is missing or of the wrong kind; delete the file and make it again.")
    return (found, "") if found["applies"] else (None, found["reason"])


def probed(
    cells: Sequence[Cell], folder: str | Path, seeds: Seeds | Sequence[int] | None, name: str, shape: Any
) -> list[Probed]:
    """The results of one probe that are there, in the order of the table of cells.

    Raises:
        UserError: one of them that :func:`read_probe` refuses.
    """
    found = []
    for cell in cells:
        home = Path(folder) / cell.dataset / cell.model
        for seed in seeds_in(home, seeds, cell.task):
            path = home / f"seed{seed}" / "probes" / f"{name}.json"
            if path.exists():
                found.append(Probed(cell, seed, *read_probe(path, name, shape)))
    return found
