"""The error browser: all answers of all cells, packed so that the page opens before any of them is unpacked.

A block holds the items of a task, the answers before of a task and model, or the answers after of a cell and seed, so that nothing
is stored twice. It is the base64 of a gzip stream: four bytes that say how long the JSON is (little-endian), the JSON, which has a
list for each column, and for all answers that bring their steps the characters of each token, then its entropy in eighths of a bit
(:mod:`embedgrad_core.files.steps`). ``unpack.js`` reads it.
"""

import base64
import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path

from embedgrad.reporting.page.examples import answered_items
from embedgrad.reporting.results.answers import answer_files, read_answers
from embedgrad.reporting.results.collected import Outcome
from embedgrad_core.files import Item, unpack_steps

# Characters of an answer or an input that the page holds; the files of the run hold the rest.
LIMIT = 20_000
HALF_PAIR = re.compile("[\ud800-\udfff]")


def browser(outcomes: Sequence[Outcome], folder: Path) -> dict | None:
    """The blocks by name, and the index of the cells as JSON; None where no answers lie in ``folder``.

    Raises:
        UserError: answers or items that are there and cannot be read, or are not those of the metrics.
    """
    cells: list[dict] = []
    tasks: dict[str, tuple[str, dict[str, Item]]] = {}
    sides: dict[object, tuple[str, dict[str, dict]]] = {}
    for place, outcome in enumerate(outcomes):
        cell = outcome.cell
        test = folder / "data" / cell.task / "test.jsonl"
        for metrics in outcome.metrics:
            seed = metrics["cell"]["seed"]
            files = answer_files(cell, seed, folder)
            if not all(path.exists() for path in (*files.values(), test)):
                continue
            answers = read_answers(cell, metrics, folder)
            items, known = tasks.setdefault(cell.task, (f"items-{len(tasks)}", {}))
            known |= answered_items(test, answers["after"])
            # Levels of a task and all seeds share the answers before.
            before, rows = sides.setdefault((cell.task, cell.model), (f"before-{len(sides)}", {}))
            rows |= {row["id"]: row for row in answers["before"]}
            after = f"after-{len(cells)}"
            sides[after] = (after, {row["id"]: row for row in answers["after"]})
            name = f"{cell.dataset} · {cell.model}" + (f" · seed {seed}" if len(outcome.metrics) > 1 else "")
            blocks = {"items": items, "before": before, "after": after}
            cells.append({"name": name, "place": place, "n": len(answers["after"]), **blocks})
    if not cells:
        return None
    packs = {name: packed(_items(list(known.values()))) for name, known in tasks.values()}
    packs |= {name: packed(*_answers(list(rows.values()))) for name, rows in sides.values()}
    first = {about["place"]: number for number, about in reversed(list(enumerate(cells)))}
    total = sum(about["n"] for about in cells)
    return {"index": json.dumps(cells), "blocks": packs, "first": first, "cells": cells, "total": total}


def packed(columns: dict, steps: bytes = b"") -> str:
    """A block; equal columns give equal text."""
    text = HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", json.dumps(columns, ensure_ascii=False, separators=(",", ":")))
    head = text.encode()
    return base64.b64encode(gzip.compress(len(head).to_bytes(4, "little") + head + steps, 9, mtime=0)).decode()


def _items(items: Sequence[Item]) -> dict:
    return {
        "id": [item.id for item in items],
        "input": [item.input[:LIMIT] for item in items],
        "beyond": [max(0, len(item.input) - LIMIT) for item in items],
        "gold": [item.answer[:LIMIT] for item in items],
    }


def _answers(rows: Sequence[dict]) -> tuple[dict, bytes]:
    """Columns, and the bytes of those steps that are known."""
    lengths, levels = bytearray(), bytearray()
    for row in rows:
        if "steps" in row:
            characters, entropies = unpack_steps(row["steps"], row["n_tokens"], len(row["output"]))
            lengths += characters
            levels += entropies
    columns = {
        "id": [row["id"] for row in rows],
        "text": [row["output"][:LIMIT] for row in rows],
        "beyond": [max(0, len(row["output"]) - LIMIT) for row in rows],
        "read": [row["extracted"] if row["extracted"] is None else row["extracted"][:LIMIT] for row in rows],
        "failure": [row["failure"] for row in rows],
        "reason": [str(row.get("reason", ""))[:LIMIT] for row in rows],
        "tokens": [row["n_tokens"] for row in rows],
        "stop": [row["stop"] for row in rows],
        "bits": [None if row["entropy_bits"] is None else round(row["entropy_bits"], 3) for row in rows],
        "stepped": [int("steps" in row) for row in rows],
    }
    return columns, bytes(lengths + levels)
