"""A run with thousands of long answers, a third of them loops, with the entropy of each token: what the report page must bear."""

import random
from pathlib import Path

from reporting_samples import count, make_run, write_cells

from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import pack_steps, read_jsonl, write_jsonl

# Two letters and more, of no language: they compress no better than prose.
_SYLLABLES = [a + b for a in "bdfklmnprst" for b in ("a", "e", "i", "o", "u", "an", "er", "is")]


def many_answers(folder: Path, cells: int = 5, items: int = 1000, words: int = 120) -> Path:
    """A run of so many cells, each with ``items`` answers before and after; the folder that ``page_of`` takes."""
    chance = random.Random(3)
    vocabulary = ["".join(chance.choices(_SYLLABLES, k=chance.randrange(1, 4))) for _ in range(4000)]
    lines = [["parity", "parity", "", f"model-{n}", "", "", "", "0.01", "10"] for n in range(cells)]
    table = read_cells(write_cells(folder / "cells.tsv", lines))
    results = make_run(folder / "results", table, {"parity": {None: items}})
    for cell in table:
        home = results / cell.task / cell.model
        for path, most in ((home / "before.jsonl", words), (home / "seed0" / "after.jsonl", max(3, words // 4))):
            write_jsonl(path, [_long(row, vocabulary, most, chance) for row in read_jsonl(path)])
        count(results, cell)
    return folder


def _long(row: dict, vocabulary: list[str], most: int, chance: random.Random) -> dict:
    said = chance.choices(vocabulary, k=most)
    if row["failure"] == "loop":
        said = said[: most // 10] * 10
    tokens = [word if place == 0 else f" {word}" for place, word in enumerate(said)]
    bits = [0.0 if row["failure"] == "loop" else chance.expovariate(1) for _ in tokens]
    steps = pack_steps([len(token) for token in tokens], bits)
    kept = {key: value for key, value in row.items() if key != "check"}
    mean = sum(bits) / len(bits)
    return kept | {"output": "".join(tokens), "n_tokens": len(tokens), "entropy_bits": mean, "steps": steps}
