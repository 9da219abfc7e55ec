"""What the probes of a run left on disk: ``<dataset>/<model>/seed<k>/probes/<name>.json``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

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


@dataclass(frozen=True)
class Ranged:
    """A number with its 95 % interval, in a probe's table: one column of the page, three of the CSV file.

    An end that is not known, or that has no bound, is None.
    """

    value: float | None
    low: float | None
    high: float | None
    digits: int = 3

    @classmethod
    def of(cls, value: float | None, ends: Sequence[float | None] | None, times: float = 1, digits: int = 3) -> Self:
        """``times`` the value and its interval."""
        low, high = ends or (None, None)
        middle, low, high = (None if one is None else times * one for one in (value, low, high))
        return cls(middle, low, high, digits)

    def __str__(self) -> str:
        value, low, high = ("–" if one is None else f"{one:,.{self.digits}f}" for one in self.numbers)
        return value if low == high == "–" else f"{value} [{low}, {high}]"

    @property
    def numbers(self) -> tuple[float | None, ...]:
        """Value and ends, rounded."""
        return tuple(None if one is None else round(one, self.digits) for one in (self.value, self.low, self.high))


def flat(rows: Sequence[Mapping]) -> list[dict]:
    """Lines of a table with three columns for each number that has an interval: ``auroc``, ``auroc_low``, ``auroc_high``."""

    def cells(key: str, value: object) -> dict:
        if not isinstance(value, Ranged):
            return {key: value}
        return dict(zip((key, f"{key}_low", f"{key}_high"), value.numbers, strict=True))

    return [{name: one for key, value in row.items() for name, one in cells(key, value).items()} for row in rows]


def sound(values: dict) -> str | None:
    """No more is wrong with a result than its shape says."""
    return None


def read_probe(path: str | Path, name: str, shape: Any, fault: Callable[[dict], str | None] = sound) -> dict:
    """One file of a probe: what it found, or ``reason``, why it does not apply.

    Args:
        shape: of what it found, as :func:`embedgrad_core.files.misfit` takes it.
        fault: the key at which a result of this shape is impossible, or None.

    Raises:
        UserError: it cannot be read, is of another probe, or a key is missing or of the wrong kind; names file and key.
    """
    found = read_json(path)
    wrong = misfit(found, {"probe": str, "applies": bool})
    if not wrong and found["probe"] != name:
        raise UserError(f"{path}: a result of the probe {found['probe']!r}, not {name!r}; delete it and make it again.")
    wrong = wrong or misfit(found, shape if found["applies"] else {"reason": str})
    wrong = wrong or (found["applies"] and fault(found))
    if wrong:
        raise UserError(f"{path}: key {wrong} is missing or of the wrong kind; delete the file and make it again.")
    return found


def probed(
    outcomes: Sequence[Outcome], folder: str | Path, name: str, shape: Any, fault: Callable[[dict], str | None] = sound
) -> list[Probed]:
    """The results of one probe that are there, beside the metrics of their cells and seeds.

    Raises:
        UserError: one of them that :func:`read_probe` refuses, or that is of another model, prompt or data than its cell's.
    """
    found = analyses_of(outcomes, folder, f"probes/{name}.json", lambda path: read_probe(path, name, shape, fault))
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
