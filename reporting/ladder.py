"""The optimised prompt beside the best that needs no training: the rung that did best on dev, and a paired test against it."""

from collections.abc import Sequence
from pathlib import Path

from contracts import UserError
from reporting.agreement import check_reports
from reporting.answers import read_answers
from reporting.collected import Outcome
from reporting.reports import read_ladder
from reporting.statistics import Paired, holm, mcnemar

# Cheapest first: of rungs that are equal on dev, the first counts as the best.
RUNGS = (
    "majority",
    "no_prompt",
    "bare",
    "chat",
    "rewrite",
    "likelihood",
    "likelihood_rewrite",
    "few_shot",
    "examples",
)


def ladder_rows(outcomes: Sequence[Outcome], folder: str | Path) -> list[dict]:
    """Per cell, accuracy in per cent on each rung of the ladder, and the optimised prompt against the best of them.

    ``best_rung`` is chosen on dev, never on the items that are compared; ``best`` is its accuracy on those. ``over_best`` is the
    optimised prompt minus the best rung in points, item by item, with Newcombe's paired interval and the exact McNemar test;
    ``p_best_holm`` is adjusted over the cells (Holm). With several seeds it is the lowest, as in Table 2. A ladder without dev
    has no best rung. ``before`` and ``optimised`` are the table's own.

    Raises:
        UserError: an unreadable ladder, or ladders of another model or other data than the cells'; names the files.
    """
    rows, reports = [], []
    for outcome in outcomes:
        cell = outcome.cell
        path = Path(folder) / cell.task / cell.model / "ladder.json"
        if not path.exists() or not outcome.metrics:
            continue
        try:
            report = read_ladder(path)
            reports += [(report, metrics, path) for metrics in outcome.metrics]
            known = {name: rung for name, rung in report["rungs"].items() if "left_out" not in rung}
            found = {name: _percent(rung, cell.level) for name, rung in known.items()}
            best = _best(known, cell.level)
        except KeyError as error:
            raise UserError(f"{path}: no level {error} on a rung; delete it and run again.") from None
        metrics = outcome.metrics[0]
        row = {"dataset": cell.dataset, "model": cell.model, "n": metrics["n"]}
        row |= {name: found.get(name) for name in RUNGS}
        row["before"] = round(100 * metrics["before"]["accuracy"], 2)
        row["optimised"] = round(100 * metrics["after"]["accuracy"], 2)
        rows.append(row | (_against(best, known[best], outcome, folder, path) if best else {}))
    check_reports(reports)
    tested = [row for row in rows if "p_best" in row]
    for row, adjusted in zip(tested, holm([row["p_best"] for row in tested]), strict=True):
        row["p_best_holm"] = adjusted
    return rows


def _best(rungs: dict[str, dict], level: str | None) -> str | None:
    """The rung with the best share on dev, the first in the order of :data:`RUNGS` of equals."""
    on_dev = {name: _percent(rung["dev"], level) for name, rung in rungs.items() if name in RUNGS and "dev" in rung}
    on_dev = {name: share for name, share in on_dev.items() if share is not None}
    return max(sorted(on_dev, key=RUNGS.index), key=on_dev.__getitem__) if on_dev else None


def _against(name: str, rung: dict, outcome: Outcome, folder: str | Path, path: Path) -> dict:
    cell, metrics = outcome.cell, outcome.metrics[0]
    after = read_answers(cell, metrics, folder)["after"]
    counts = rung if cell.level is None else rung["levels"][cell.level]
    right = set(rung["right"])
    pairs = Paired.of([row["id"] in right for row in after], [row["correct"] for row in after])
    if pairs.n != counts["n"] or pairs.both + pairs.only_before != counts["correct"]:
        raise UserError(f"{path}: rung {name} answered other items than the cell {cell.name}; delete it and run again.")
    low, high = pairs.interval
    return {
        "best_rung": name,
        "best_rung_dev": _percent(rung["dev"], cell.level),
        "best": _percent(rung, cell.level),
        "over_best": round(pairs.points, 2),
        "over_best_low": round(low, 2),
        "over_best_high": round(high, 2),
        "p_best": mcnemar(pairs.only_before, pairs.only_after)[0],
    }


def _percent(rung: dict, level: str | None) -> float | None:
    counts = rung if level is None else rung["levels"][level]
    return round(100 * counts["correct"] / counts["n"], 2) if counts["n"] else None
