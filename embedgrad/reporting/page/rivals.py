"""The page's section on other methods, as plain values: made from ``rivals.csv`` alone."""

from collections.abc import Sequence
from pathlib import Path

from embedgrad.reporting.figures.images import as_image
from embedgrad.reporting.figures.rivals import AXES, scatter
from embedgrad.reporting.results.compared import (
    NAME,
    control,
    detectable,
    difference,
    is_apart,
    is_rival,
    read_compared,
    sign,
)
from embedgrad.reporting.rivals.entries import EMBEDGRAD
from embedgrad.reporting.rivals.words import LEGEND, blocks

# What a column is sorted by, where that is not the number which its text begins with.
SORTED_BY = {
    "right": "correct",
    "accuracy": "accuracy",
    "seeds": "lowest_accuracy",
    "Δ to EmbedGrad": "delta",
    "p (Holm)": "p_holm",
    "rate": "learning_rate",
    "parameters": "trained_parameters",
}


def section(folder: Path) -> dict | None:
    """Sentence, and for each cell its own sentence, table and figures; None where the run has no rivals.

    Raises:
        UserError: a table that was changed since it was written, or is none of rivals.
    """
    cells = read_compared(folder)
    if not cells:
        return None
    return {"sentence": sentence(cells), "cells": [_cell(rows) for rows in cells], "legend": LEGEND, "file": NAME}


def sentence(cells: Sequence[Sequence[dict]]) -> str:
    """What can be told apart at this n, and what the null control gave."""
    methods = [row for rows in cells for row in rows if is_rival(row)]
    own = [row for rows in cells for row in rows if row["method"] == EMBEDGRAD]
    above, below = (sum(sign(row) == way for row in methods) for way in (1, -1))
    items = sorted({row["n"] for rows in cells for row in rows if not row.get("reason")})
    n = f"{items[0]}" if len(items) == 1 else f"{items[0]} to {items[-1]}"
    many = f"{_counted(len(methods), 'comparison')} with EmbedGrad on {_counted(len(cells), 'cell')} of {n} test items"
    told = (
        f"{above} above and {below} below after Holm's correction, {len(methods) - above - below} cannot be told apart"
    )
    return f"Of {many}: {told} (before it, {detectable(methods)} would be found with 80 % power); {_control(own)}."


def _control(own: Sequence[dict]) -> str:
    """Of EmbedGrad's row of each cell."""
    told = "; ".join(f"{row['dataset']}/{row['model']}: {control(row)}" for row in own)
    if apart := sum(map(is_apart, own)):
        return f"APART in {apart} of {len(own)} cells, where no difference can be laid to the methods: {told}"
    if any(row["control_equal"] is None for row in own):
        return f"EmbedGrad stands at a rate that was not searched as the others' were: {told}"
    return f"EmbedGrad's rate was chosen as the others' were, by the same loop as the run's own: {told}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _cell(rows: Sequence[dict]) -> dict:
    ((name, header, lines),) = blocks(rows)
    told = {way: [row for row in rows if is_rival(row) and sign(row) == way] for way in (1, -1)}
    words = {1: "Above EmbedGrad", -1: "Below EmbedGrad"}
    found = [
        f"{words[way]}: {', '.join(row['method'] + ' ' + difference(row) for row in some)}." for way, some in told.items() if some
    ]  # fmt: skip
    return {
        "name": name,
        "sentence": " ".join(found) or "No method can be told apart from EmbedGrad here.",
        "header": header,
        "rows": [
            {"own": row["method"] == EMBEDGRAD, "fields": [_field(*one, row) for one in zip(header, line, strict=True)]}
            for row, line in zip(rows, lines, strict=True)
        ],
        "figures": [{"image": as_image(scatter(rows, axis)), "label": AXES[axis][1]} for axis in AXES],
    }


def _field(name: str, text: str, row: dict) -> dict:
    return {"text": text, "value": row.get(SORTED_BY[name]) if name in SORTED_BY else None}
