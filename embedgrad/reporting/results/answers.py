"""The graded answers of a cell, read back: only those that ``metrics.json`` was counted from.

A file that is cut at the end of a line is whole line by line. So whoever reads answers once the metrics are there reads them here,
where their number and verdicts are held against what was counted.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from embedgrad.files import DECODED_KEYS, FAILURES, LOOP_STOPS, read_decoded
from embedgrad.reporting.results.agreement import check_answers
from embedgrad.reporting.results.cells import Cell
from embedgrad_core.files import UserError, is_number, unpack_steps

GRADED_KEYS = (*DECODED_KEYS, "extracted", "correct", "failure")


def answer_files(cell: Cell, seed: int, folder: str | Path) -> dict[str, Path]:
    """Where the graded answers before and after lie in ``results/<run>``."""
    folder = Path(folder)
    return {
        "before": folder / cell.task / cell.model / "before.jsonl",
        "after": folder / cell.dataset / cell.model / f"seed{seed}" / "after.jsonl",
    }


def read_answers(cell: Cell, metrics: dict, folder: str | Path) -> dict[str, list[dict]]:
    """The graded lines ``before`` and ``after`` of a cell's items, the same items in the same order.

    Raises:
        UserError: a file that is missing, was cut short or changed, or is not what ``metrics`` counted; names it.
    """
    files = answer_files(cell, metrics["cell"]["seed"], folder)
    rows = {side: read_graded(path, metrics["run"].get(side)) for side, path in files.items()}
    wanted = [row["id"] for row in rows["after"]]
    if len(wanted) != metrics["n"]:
        raise UserError(
            f"{files['after']}: {len(wanted)} answers, but metrics.json counted {metrics['n']}; the file was cut short or made "
            "anew since. Delete it and grade again."
        )
    found = {
        side: view(rows[side], wanted, {row["id"] for row in rows[side]}, str(path), str(files["after"]))
        for side, path in files.items()
    }
    for side, path in files.items():
        failures = Counter(row["failure"] for row in found[side])
        counted = metrics[side]["failures"]
        if any(failures[failure] != counted[failure] for failure in FAILURES):
            raise UserError(
                f"{path}: {failures['none']} right answers of {metrics['n']}, but metrics.json counted {counted['none']} and "
                "other failures; the file was changed or made anew since. Delete it and grade again."
            )
    return found


def read_graded(path: str | Path, run: dict | None) -> list[dict]:
    """The lines of a graded file, which must be those that the decoding of sidecar ``run`` wrote, if it says which.

    Raises:
        UserError: a malformed line, or other answers than were decoded.
    """
    rows = read_decoded(path, GRADED_KEYS)
    check_answers(rows, run, str(path))
    return rows


def loops(row: dict) -> bool:
    """Whether a graded answer loops, also where it counts as right: Eq. 11 of a repeated phrase is near 0 either way."""
    return row["stop"] in LOOP_STOPS or row["failure"] == "loop"


def view(rows: Sequence[dict], wanted: Sequence[str], known: set[str], name: str, test: str) -> list[dict]:
    """The rows of the wanted ids, in their order; every row checked.

    Args:
        rows: graded lines.
        wanted: the ids of a cell's items.
        known: all ids that may stand there.
        name: what messages call the file of the rows.
        test: what they call the file of the items.

    Raises:
        UserError: an item that is not known, stands there twice or lacks its answer, or a malformed line.
    """
    found = {}
    for number, row in enumerate(rows, start=1):
        where = f"{name}:{number}"
        if not isinstance(row["id"], str) or row["id"] not in known:
            raise UserError(f"{where}: item {row['id']!r} is not among the cell's items in {test}; decode again.")
        if row["id"] in found:
            raise UserError(f"{where}: item {row['id']!r} stands there twice, but once in {test}; decode again.")
        _check(row, where)
        found[row["id"]] = row
    missing = [identity for identity in wanted if identity not in found]
    if missing:
        raise UserError(
            f"{name}: {len(missing)} of {len(wanted)} items of {test} lack an answer, {missing[0]!r} first; "
            "decode again."
        )
    return [found[identity] for identity in wanted]


def _check(row: dict, where: str) -> None:
    if not isinstance(row["correct"], bool) or row["correct"] != (row["failure"] == "none"):
        raise UserError(f"{where}: 'correct' must be true exactly when 'failure' is none; grade again.")
    if row["failure"] not in FAILURES:
        raise UserError(f"{where}: failure {row['failure']!r} is not one of {', '.join(FAILURES)}; grade again.")
    if row["extracted"] is not None and not isinstance(row["extracted"], str):
        raise UserError(f"{where}: 'extracted' must be text or null; grade again.")
    entropy, tokens = row["entropy_bits"], row["n_tokens"]
    if entropy is not None and not is_number(entropy):
        raise UserError(f"{where}: 'entropy_bits' must be a finite number or null; decode again.")
    if not isinstance(tokens, int) or not is_number(tokens) or tokens < 0:
        raise UserError(f"{where}: 'n_tokens' must be a whole number; decode again.")
    if not isinstance(row.get("strict_correct", False), bool):
        raise UserError(f"{where}: 'strict_correct' must be true or false; grade again.")
    if "steps" in row:
        try:
            unpack_steps(row["steps"], tokens, len(row["output"]))
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: 'steps' are not the answer's tokens ({error}); decode again.") from None
