"""The optimised prompt beside the best that needs no training: the rung that did best on dev, and a paired test against it."""

from collections.abc import Sequence
from pathlib import Path

from embedgrad.reporting.results.agreement import check_analyses
from embedgrad.reporting.results.analyses import read_ladder
from embedgrad.reporting.results.answers import read_answers
from embedgrad.reporting.results.collected import Outcome
from embedgrad.reporting.results.pooled import pooled_gain
from embedgrad.reporting.statistics import ALPHA, Paired, holm, mcnemar
from embedgrad.reporting.typeset import markdown_table, short_p
from embedgrad_core.files import UserError, markdown_escape

# Cheapest first: of rungs that are equal on dev, the first counts as the best.
RUNGS = ("majority", "no_prompt", "bare", "chat", "rewrite", "likelihood", "likelihood_rewrite", "few_shot", "examples")

# How many cells the headline names; the table has all.
NAMED = 4


def ladder_rows(outcomes: Sequence[Outcome], folder: str | Path) -> list[dict]:
    """Per cell, accuracy in per cent on each rung of the ladder, and the optimised prompt against the best of them.

    ``best_rung`` is chosen on dev, never on the items that are compared; ``best`` is its accuracy on those. ``over_best`` is the
    optimised prompt minus the best rung in points, item by item, with Newcombe's paired interval and the exact McNemar test;
    ``p_best_holm`` is adjusted over the cells (Holm). With several seeds gain and lead are of the mixed model, as in Table 2. A
    ladder without dev has no best rung. ``before`` and ``optimised`` are the table's own. No number is rounded: that is done
    once, where it is printed.

    Raises:
        UserError: an unreadable ladder, or ladders of another model or other data than the cells'; names the files.
    """
    rows, analyses = [], []
    for outcome in outcomes:
        cell = outcome.cell
        path = Path(folder) / cell.task / cell.model / "ladder.json"
        if not path.exists() or not outcome.metrics:
            continue
        try:
            analysis = read_ladder(path)
            analyses += [(analysis, metrics, path) for metrics in outcome.metrics]
            known = {name: rung for name, rung in analysis["rungs"].items() if "left_out" not in rung}
            found = {name: _percent(rung, cell.level) for name, rung in known.items()}
            best = best_on_dev(known, cell.level)
        except KeyError as error:
            raise UserError(f"{path}: no level {error} on a rung; delete it and run again.") from None
        metrics = outcome.metrics[0]
        row = {"dataset": cell.dataset, "model": cell.model, "n": metrics["n"]}
        row |= {name: found.get(name) for name in RUNGS}
        row["before"] = 100 * metrics["before"]["accuracy"]
        accuracies = [one["after"]["accuracy"] for one in outcome.metrics]
        row |= {"optimised": 100 * sum(accuracies) / len(accuracies), "seeds": len(accuracies)}
        if gain := outcome.gain:
            low, high = gain.interval
            row |= {"gain": gain.points, "gain_low": low, "gain_high": high, "p": gain.p}
        rows.append(row | (_against(best, known[best], outcome, folder, path) if best else {}))
    check_analyses(analyses)
    tested = [row for row in rows if "p_best" in row]
    for row, adjusted in zip(tested, holm([row["p_best"] for row in tested]), strict=True):
        row["p_best_holm"] = adjusted
    return rows


def two_decimals(rows: Sequence[dict]) -> list[dict]:
    """The rows as a file has them: percentages and points to two decimals, p-values whole."""
    return [
        {
            key: round(value, 2) if isinstance(value, float) and not key.startswith("p") else value
            for key, value in row.items()
        }
        for row in rows
    ]


def ladder_markdown(rows: Sequence[dict], weights: Sequence[str] = ()) -> str:
    """The rows as one readable table: before and after, and the optimised prompt against the best rung without training.

    ``weights`` are notes on the models' weights.
    """
    head = ["dataset", "model", "n", "before %", "after %", "Δ points [95 %]", "p"]
    head += ["best rung without training", "its %", "Δ over it [95 %]", "p", "p (Holm)"]
    body = []
    for row in rows:
        line = [row["dataset"], row["model"], str(row["n"]), f"{row['before']:.1f}", f"{row['optimised']:.1f}"]
        line += [_span(row, "gain"), short_p(row["p"])]
        if "best_rung" in row:
            line += [f"{row['best_rung']} ({row['best_rung_dev']:.0f} on dev)", f"{row['best']:.1f}"]
            line += [_span(row, "over_best"), short_p(row["p_best"]), short_p(row["p_best_holm"])]
        else:
            line += ["–"] * 5
        body.append([markdown_escape(field) for field in line])
    notes = [
        "p is the exact McNemar test over the same items, the interval Newcombe's; of several seeds, both are of a mixed model "
        "with items and seeds as crossed random effects.",
        "The best rung is chosen on dev; what the rungs are: docs/protocol.md. Holm's correction is over the cells of this table.",
    ]
    notes += [markdown_escape(weight) for weight in weights]
    table = markdown_table(head, body, {"dataset", "model", "best rung without training"})
    return "\n".join([table, "", *(f"- {note}" for note in notes)]) + "\n"


def headline(rows: Sequence[dict], ran: int = 0) -> str:
    """In how many cells the optimised prompt beats the best rung without training, in how many it loses, and which rungs lead.

    The cells where the rung has at least as many right answers are named, significant or not, the largest lead first. ``ran`` is
    how many cells have results; those without rungs are counted.
    """
    judged = [row for row in rows if "p_best_holm" in row]
    if not judged:
        return ""
    kept = [row for row in judged if row["p_best_holm"] < ALPHA]
    up, down = (sum(sign * row["over_best"] > 0 for row in kept) for sign in (1, -1))
    sentence = (
        f"Against the best rung without training: better in {up} of {len(judged)} cells and worse in {down} after Holm's "
        f"correction, no significant difference in {len(judged) - up - down}"
        f"{f' ({ran - len(judged)} more without rungs)' if ran > len(judged) else ''}."
    )
    level = sorted((row for row in judged if round(row["over_best"], 2) <= 0), key=lambda row: row["over_best"])
    if level:
        names = [
            f"{row['dataset']}/{row['model']} ({row['best_rung']} {row['best']:.0f} %, optimised {row['optimised']:.0f} %)"
            for row in level[:NAMED]
        ]
        more = f" and {len(level) - NAMED} more" if len(level) > NAMED else ""
        sentence += f" The rung is level or ahead in {', '.join(names)}{more}."
    return sentence


def _span(row: dict, key: str) -> str:
    return f"{row[key]:+.1f} [{row[f'{key}_low']:+.1f}, {row[f'{key}_high']:+.1f}]"


def best_on_dev(rungs: dict[str, dict], level: str | None) -> str | None:
    """The rung with the best share on dev, the first in the order of :data:`RUNGS` of equals."""
    with_dev = {name: _percent(rung["dev"], level) for name, rung in rungs.items() if name in RUNGS and "dev" in rung}
    on_dev = {name: share for name, share in with_dev.items() if share is not None}
    return max(sorted(on_dev, key=RUNGS.index), key=on_dev.__getitem__) if on_dev else None


def _against(name: str, rung: dict, outcome: Outcome, folder: str | Path, path: Path) -> dict:
    cell, metrics = outcome.cell, outcome.metrics[0]
    after = read_answers(cell, metrics, folder)["after"]
    counts = rung if cell.level is None else rung["levels"][cell.level]
    right = set(rung["right"])
    pairs = Paired.of([row["id"] in right for row in after], [row["correct"] for row in after])
    if pairs.n != counts["n"] or pairs.both + pairs.only_before != counts["correct"]:
        raise UserError(f"{path}: rung {name} answered other items than the cell {cell.name}; delete it and run again.")
    over = pooled_gain(cell, outcome.metrics, folder, right)
    low, high = over.interval if over else pairs.interval
    return {
        "best_rung": name,
        "best_rung_dev": _percent(rung["dev"], cell.level),
        "best": _percent(rung, cell.level),
        "over_best": over.mean if over else pairs.points,
        "over_best_low": low,
        "over_best_high": high,
        "p_best": over.p if over else mcnemar(pairs.only_before, pairs.only_after)[0],
    }


def _percent(rung: dict, level: str | None) -> float | None:
    counts = rung if level is None else rung["levels"][level]
    return 100 * counts["correct"] / counts["n"] if counts["n"] else None
