"""What the page shows, as plain values: no HTML here, so that the template can escape all of it."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from embedgrad.reporting.figures.accuracy import training_curves
from embedgrad.reporting.figures.images import as_image
from embedgrad.reporting.page.examples import examples
from embedgrad.reporting.results.analyses import read_sidecar
from embedgrad.reporting.results.collected import Outcome
from embedgrad.reporting.statistics import wilson
from embedgrad.reporting.table2 import numbers
from embedgrad.reporting.tables import read_table
from embedgrad.reporting.verdicts.rule import WORDS

# Tables that a run may have beside Table 2: file, title, what to see in it.
TABLES = (
    (
        "spread.csv",
        "Gain over items and seeds",
        "Points, by a mixed model with items and seeds as crossed random effects, as in Table 2; sd: what varies between items, "
        "between seeds, and beyond.",
    ),
    (
        "ladder.csv",
        "Ladder of baselines",
        "Accuracy in per cent in ways that train nothing (the commonest answer, no prompt, the prompt bare or in the template, "
        "a rewrite, the likeliest label, examples of the format alone, right examples), and optimised. The best rung is chosen on "
        "dev; over_best is the optimised prompt minus that rung, item by item, with its interval and exact McNemar p.",
    ),
    (
        "limits.csv",
        "Token limits",
        "Accuracy under smaller token limits, read off the same answers: how much of the gain is the limit's.",
    ),
    (
        "prompts.csv",
        "Prompts",
        "One line per cell: drift, words kept, the round trip to words on dev (random: as far in a random direction), the "
        "change of entropy split into prompt and text, and LAT.",
    ),
    (
        "correlation.csv",
        "Entropy drop and accuracy gain over cells",
        "The paper's claim of Section 5.2, over whole tasks and models, without answers that loop; intervals: Fisher's, and of "
        "resampled tasks. with_loops_r: where loops count.",
    ),
    ("sensitivity.csv", "Sensitivity", "Learning rate and epochs (Section 5.4)."),
    (
        "recovery.csv",
        "Protocol recovery",
        "Which unstated protocol explains the printed numbers before optimisation best: log-likelihood and posterior weight.",
    ),
    (
        "recovery_axes.csv",
        "Protocol recovery, choice by choice",
        "What the printed numbers say of each choice by itself; a Bayes factor below 3 cannot tell values apart.",
    ),
    ("claims.csv", "Claims", "Every number of the paper's Sections 4 and 5, recomputed."),
    ("audit.csv", "Audit", "What the printed numbers can mean, from the table alone."),
)
_DECIMAL, _DIGITS = re.compile(r"-?\d+\.\d+(e[-+]?\d+)?"), 7


def headline(outcomes: Sequence[Outcome]) -> str:
    """The verdict on the run in one sentence."""
    with_paper = [outcome for outcome in outcomes if outcome.cell.paper]
    done = [outcome for outcome in outcomes if outcome.metrics]
    if not with_paper:
        rows = [row for row in numbers(outcomes) if row["p_holm"] is not None]
        up = sum(row["p_holm"] < 0.05 and row["gain_points"] > 0 for row in rows)
        gained = f"{up} of {len(done)} cells gained significantly on their text prompt after Holm's correction"
        return f"{gained}; {_missing(outcomes)}."
    words = Counter(outcome.metrics[0]["verdict"]["word"] for outcome in with_paper if outcome.metrics)
    verdicts = ", ".join(f"{words[word]} {word}" for word in WORDS if words[word]) or "no cell judged yet"
    return f"Of the paper's {len(with_paper)} cells: {verdicts}; {_missing(outcomes)}."


def _missing(outcomes: Sequence[Outcome]) -> str:
    missing = sum(not outcome.metrics for outcome in outcomes)
    return f"{missing} of {len(outcomes)} cells are missing" if missing else "no cell is missing"


def table(outcomes: Sequence[Outcome], command: str, rungs: Sequence[dict] = ()) -> list[dict]:
    """Lines of Table 2 with all that is drawn in them; percentages as numbers.

    Args:
        outcomes: of all cells of the table.
        command: how a single cell is made, up to ``cells=…``.
        rungs: of :func:`embedgrad.reporting.ladder.ladder_rows`; cells without have no ``best``.
    """
    best = {(row["dataset"], row["model"]): row for row in rungs if "p_best_holm" in row}
    lines = []
    for place, (outcome, row) in enumerate(zip(outcomes, numbers(outcomes), strict=True)):
        cell = outcome.cell
        line = {
            "place": place,
            "anchor": f"cell-{place}",
            "dataset": cell.dataset,
            "model": cell.model,
            "paper": cell.paper,
        }
        line["command"] = f"{command} cells={cell.dataset}/{cell.model}"
        if outcome.metrics:
            first = outcome.metrics[0]
            line |= {
                "n": first["n"],
                "before": _side(first["before"]),
                "after": _side(first["after"]) if len(outcome.metrics) == 1 else _mean_side(outcome),
                "points": row["gain_points"],
                "low": row["gain_low"],
                "high": row["gain_high"],
                "p": row["gain_p"],
                "p_holm": row["p_holm"],
                "verdict": first["verdict"]["word"] or "–",
                "reason": first["verdict"]["reason"],
                "failures": {side: first[side]["failures"] for side in ("before", "after")},
                "best": best.get((cell.dataset, cell.model)),
            }
        else:
            line["missing"] = outcome.reason
        lines.append(line)
    return lines


def _side(side: dict) -> dict:
    low, high = side["wilson"]
    return {"k": side["correct"], "percent": 100 * side["accuracy"], "low": 100 * low, "high": 100 * high}


def _mean_side(outcome: Outcome) -> dict:
    """After, over several seeds: the mean, and Wilson's interval of as many right answers."""
    n = outcome.metrics[0]["n"]
    mean = sum(metrics["after"]["accuracy"] for metrics in outcome.metrics) / len(outcome.metrics)
    low, high = wilson(round(mean * n), n)
    return {"k": f"{len(outcome.metrics)} seeds", "percent": 100 * mean, "low": 100 * low, "high": 100 * high}


def tables(folder: Path) -> list[dict]:
    """The further tables that are there.

    Raises:
        UserError: a table that cannot be read, or that changed since it was written.
    """
    found = []
    for name, title, caption in TABLES:
        path = folder / name
        if not path.exists():
            continue
        header, rows = read_table(path)
        rows = [[_readable(value) for value in row] for row in rows]
        found.append({"title": title, "caption": caption, "header": header, "rows": rows, "file": name})
    return found


def _readable(value: str) -> str:
    """A field as the page shows it: five digits of a number that has more than seven; the file has them all."""
    many = _DECIMAL.fullmatch(value) and sum(map(str.isdecimal, value)) > _DIGITS
    return f"{float(value):.5g}" if many else value


def foldout(outcome: Outcome, folder: Path, line: dict) -> dict:
    """What unfolds for a cell: examples, training curve, provenance."""
    shown, why = examples(outcome, folder)
    _, home = outcome.homes(folder)[0]
    curve = as_image(training_curves([outcome], folder)) if (home / "optimize.jsonl").exists() else None
    return {**line, "examples": shown, "why": why, "curve": curve, "provenance": _provenance(outcome, folder, home)}


def _provenance(outcome: Outcome, folder: Path, home: Path) -> list[tuple[str, str]]:
    """Where the numbers come from, as (name, value)."""
    rows: list[tuple[str, str]] = []
    for name, path in (
        ("optimisation", home / "optimize.run.json"),
        ("after", home / "after.run.json"),
        ("before", folder / outcome.cell.task / outcome.cell.model / "before.run.json"),
        ("data", folder / "data" / outcome.cell.task / "split.json"),
    ):
        if path.exists():
            # One level of nesting is enough to be read.
            texts = {key: one if isinstance(one, str) else json.dumps(one) for key, one in read_sidecar(path).items()}
            rows += [(f"{name}: {key}", text) for key, text in texts.items() if len(text) < 400]
    return rows
