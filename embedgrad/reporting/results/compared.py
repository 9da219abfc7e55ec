"""``rivals.csv`` read back, for the page and the claims: the rows that :func:`embedgrad.reporting.rivals.numbers.numbers` gave."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedgrad.reporting.rivals.entries import EMBEDGRAD, NEEDS, UNTRAINED
from embedgrad.reporting.statistics import ALPHA
from embedgrad.reporting.tables import read_table
from embedgrad_core.files import COUNT, UserError, misfit

NAME = "rivals.csv"
_WORDS = ("reason", "control_note", "fit_device", "delta_of")
_TEXT = ("dataset", "model", "method", "family", "needs", *_WORDS)
_KNOWN, _MAYBE = float, (float,)
_SHAPE = {
    **dict.fromkeys(("dataset", "model", "method"), str),
    **dict.fromkeys(("n", "correct", "seeds"), COUNT),
    **dict.fromkeys(
        ("accuracy", "accuracy_low", "accuracy_high", "lowest_accuracy", "highest_accuracy", "tokens_an_answer", "calls"), _KNOWN
    ),
    **dict.fromkeys(("delta", "delta_low", "delta_high", "p", "p_holm", "detectable"), _MAYBE),
    **dict.fromkeys(("learning_rate", "best_epoch", "fit_seconds", "positions"), _MAYBE),
    **dict.fromkeys(("fit_cpu_seconds", "trained_tokens", "dev_seconds"), _MAYBE),
    **dict.fromkeys(("trained_parameters", "stored_bytes"), _MAYBE),
    **dict.fromkeys(("rates_tried", "fit_threads"), (COUNT,)),
    **dict.fromkeys(("control_loss", "control_vectors"), _MAYBE),
    **dict.fromkeys(("rate_at_edge", "at_epoch_cap", "control_equal"), (bool,)),
}  # fmt: skip
_NAMED = dict.fromkeys(("dataset", "model", "method", "reason"), str)  # one that is left out
_AGAIN = "delete it and run again."


def read_compared(folder: str | Path) -> list[list[dict]]:
    """The rows of each cell, cell by cell; none where the run has no rivals. What the table leaves empty is None.

    A method without numbers has a ``reason`` in their place.

    Columns that are not known here, of a later version, are handed on as they read.

    Args:
        folder: ``results/<run>``.

    Raises:
        UserError: a table that was changed since it was written, or is none of rivals; names the row and what is wrong.
    """
    path = Path(folder) / NAME
    if not path.exists():
        return []
    header, lines = read_table(path)
    cells: dict[tuple[str, str], list[dict]] = {}
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise UserError(f"{path}:{number}: {len(line)} fields, the header has {len(header)}; {_AGAIN}")
        row: dict[str, Any] = {name: _value(name, text) for name, text in zip(header, line, strict=True)}
        shape = _NAMED if row.get("reason") else _SHAPE
        wrong = misfit(row, shape) or ("family" if (row.get("family") or "") not in NEEDS else None)
        if not wrong and shape is _SHAPE and not 0 <= row["correct"] <= row["n"] * row["seeds"] > 0:
            wrong = "n"
        if wrong:
            raise UserError(f"{path}:{number}: column {wrong!r} is missing or of the wrong kind; {_AGAIN}")
        cells.setdefault((row["dataset"], row["model"]), []).append(row)
    for (dataset, model), rows in cells.items():
        names = [row["method"] for row in rows]
        if names.count(EMBEDGRAD) != 1 or len(set(names)) != len(names):
            raise UserError(
                f"{path}: {dataset}/{model} must have one row of each method and one of EmbedGrad; {_AGAIN}"
            )
        others = [row for row in rows if row["method"] != EMBEDGRAD and not row.get("reason")]
        if any(row["delta"] is None or (row["p_holm"] is None and is_rival(row)) for row in others):
            raise UserError(f"{path}: {dataset}/{model} has a method without delta or p_holm; {_AGAIN}")
    return list(cells.values())


def _value(name: str, text: str) -> Any:
    if name in _TEXT:
        return text or (None if name in ("family", *_WORDS) else "")
    if text in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def is_rival(row: dict) -> bool:
    """Whether the row is a method of the comparison: not EmbedGrad's, nor of what trains nothing for it."""
    return row["family"] not in (None, UNTRAINED, EMBEDGRAD)


def sign(row: dict) -> int:
    """1 for a method above EmbedGrad after Holm's correction, -1 for one below, 0 where the two cannot be told apart."""
    if row["p_holm"] is None or row["p_holm"] >= ALPHA or not row["delta"]:
        return 0
    return 1 if row["delta"] > 0 else -1


def is_apart(row: dict) -> bool:
    """Whether the null control did not give the run's own EmbedGrad; ``row`` is EmbedGrad's."""
    return row["control_equal"] is False


def control(row: dict) -> str:
    """What the null control gave, in words; ``row`` is EmbedGrad's."""
    if row["control_equal"] is None:
        return "EmbedGrad's rate was not searched, and there is no null control"
    parts = [
        f"{what} {100 * row[name]:.2g} % apart"
        for what, name in (("losses on dev", "control_loss"), ("vectors", "control_vectors"))
        if row[name] is not None
    ]
    word = "APART from" if is_apart(row) else "equal to"
    told = "; ".join([*parts, *([row["control_note"]] if row["control_note"] else [])])
    return f"null control {word} the run's EmbedGrad at the configured rate ({told})"


def detectable(rows: Sequence[dict]) -> str:
    """The smallest difference that the items would show, in words; over several cells from the smallest to the largest."""
    found = sorted({row["detectable"] for row in rows if row["detectable"] is not None})
    if not found:
        return "no difference of usual size"
    low, high = f"{found[0]:.0f}", f"{found[-1]:.0f}"
    return f"a difference of {low} points" if low == high else f"differences of {low} to {high} points"


def difference(row: dict) -> str:
    """Δ with its interval, in points."""
    return f"{row['delta']:+.1f} [{row['delta_low']:+.1f}, {row['delta_high']:+.1f}]"
