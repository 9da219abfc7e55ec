"""Methods whose results are not there, with what their logs say: so that one failure does not keep the table from the rest."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.rivals.entries import CONTROL

# What the table reads of each seed, and the rules that make it, in their order.
FILES = ("fit.run.json", "fit.jsonl", "answer.run.json", "graded.jsonl")
RULES = ("rival_rate", "rival_choose", "rival_fit", "rival_answer", "grade_rival", "rival_check")


def missing(results: Path, cell: Cell, methods: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Method → why it has no row. A method of which one seed is missing has none: no seeds are picked.

    Args:
        results: ``results/<run>``.
        cell: data set and model.
        methods: names, each with its seeds.
    """
    found = {}
    for name, seeds in methods.items():
        home = results / "rivals" / cell.dataset / cell.model / name
        wanted = [home / f"seed{seed}" / file for seed in seeds for file in FILES]
        wanted += [home / "check.json"] if name == CONTROL else []
        if gone := [path for path in wanted if not path.exists()]:
            place = gone[0].relative_to(home)
            found[name] = f"no {place}; {_last_line(results, cell, name) or 'its jobs left no log'}"
    return found


def _last_line(results: Path, cell: Cell, name: str) -> str:
    """Of the youngest log of the method's jobs that says anything."""
    folders = [results / "logs" / rule / cell.dataset / cell.model for rule in RULES]
    logs = [path for folder in folders for path in (*folder.glob(f"{name}.log"), *folder.glob(f"{name}/*.log"))]
    if name == CONTROL:
        logs += (results / "logs" / "rival_check" / cell.dataset).glob(f"{cell.model}.log")
    for path in sorted(logs, key=lambda path: path.stat().st_mtime, reverse=True):
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
        if said := next((line for line in reversed(lines) if line), ""):
            return said[:300]
    return ""
