"""What the probes of a run left on disk: ``<dataset>/<model>/seed<k>/probes/<name>.json``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.collected import Outcome, analyses_of
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


def read_probe(path: str | Path, name: str, shape: Any) -> dict:
    """One file of a probe: what it found, or ``reason``, why it does not apply.

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
    return found


def probed(outcomes: Sequence[Outcome], folder: str | Path, name: str, shape: Any) -> list[Probed]:
    """The results of one probe that are there, beside the metrics of their cells and seeds.

    Raises:
        UserError: one of them that :func:`read_probe` refuses, or that is of another model, prompt or data than its cell's.
    """
    found = analyses_of(outcomes, folder, f"probes/{name}.json", lambda path: read_probe(path, name, shape))
    return [
        Probed(
            outcome.cell,
            metrics["cell"]["seed"],
            values if values["applies"] else None,
            "" if values["applies"] else values["reason"],
        )
        for outcome, metrics, values in found
    ]


def origin(analysis: Mapping) -> dict:
    """What a probe of a file says of model, prompt and data: the same as the file."""
    return {key: analysis[key] for key in ("model", "prompt_sha256", "data_sha256") if key in analysis}
