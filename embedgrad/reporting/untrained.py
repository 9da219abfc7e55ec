"""What trains nothing, for the table of rivals: no prompt at all, and the rung of the ladder that did best on dev.

Both were answered for the ladder, by the same model on the same test items; nothing is answered again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from embedgrad.files import DECODED_KEYS, read_decoded
from embedgrad.reporting.ladder import best_on_dev
from embedgrad.reporting.results.agreement import check_analyses
from embedgrad.reporting.results.analyses import read_ladder, read_sidecar
from embedgrad.reporting.results.answers import GRADED_KEYS, view
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.rivals.entries import UNTRAINED, Entry
from embedgrad.reporting.rivals.entries import read_entries as read_rivals
from embedgrad_core.files import UserError

NO_PROMPT = "no_prompt"


def read_entries(
    cell: Cell, results: Path, methods: Mapping[str, Sequence[int]], run_seeds: Sequence[int]
) -> list[Entry]:
    """All rows of a cell: what trains nothing, then what :func:`embedgrad.reporting.rivals.entries.read_entries` gives."""
    untrained = untrained_entries(results, cell, run_seeds[0])
    return [*untrained, *read_rivals(cell, results, methods, run_seeds)]


def untrained_entries(results: Path, cell: Cell, seed: int) -> list[Entry]:
    """Rows of the ladder of one cell; none where the run has no ladder.

    The best rung is left out where it is the one without a prompt or the human prompt itself, which the table has anyway.

    Args:
        results: ``results/<run>``.
        cell: data set and model.
        seed: one of EmbedGrad's own; its answers say which items the cell has.

    Raises:
        UserError: a ladder that is missing in part, of another model or other data, or whose answers are not those it counted.
    """
    folder = results / cell.task / cell.model
    path, answers = folder / "ladder.json", folder / "ladder.jsonl"
    if not path.exists():
        return []
    before, ladder = read_sidecar(folder / "before.run.json"), read_ladder(path)
    check_analyses([(ladder, {"run": {"before": before}, "prompt": {}}, path)])
    after = results / cell.dataset / cell.model / f"seed{seed}" / "after.jsonl"
    wanted = [row["id"] for row in read_decoded(after, DECODED_KEYS)]
    known = {name: rung for name, rung in ladder["rungs"].items() if "left_out" not in rung}
    try:
        best = best_on_dev(known, cell.level)
    except KeyError as error:
        raise UserError(f"{path}: no level {error} on a rung; delete it and run again.") from None
    own = (before.get("layout") or {}).get("kind")
    # The input alone has no prompt's positions; what other rungs put before it is not stated anywhere.
    rows = [("no prompt", NO_PROMPT, {"positions": 0})] if NO_PROMPT in known else []
    if best and best not in (NO_PROMPT, own):
        rows.append((f"best untrained ({best})", best, {}))
    graded = [row for row in read_decoded(answers, GRADED_KEYS) if row.get("split") == "test"] if rows else []
    entries = []
    for method, name, run in rows:
        mine = [row for row in graded if row.get("rung") == name]
        found = view(mine, wanted, {row["id"] for row in mine}, f"{answers}, rung {name}", str(after))
        if {row["id"] for row in mine if row["correct"]} != set(known[name].get("right") or []):
            raise UserError(f"{answers}: rung {name} is not what ladder.json counted; delete both and run again.")
        entries.append(Entry(cell, method, UNTRAINED, [found], answers=[run]))
    return entries
