"""EmbedGrad among the methods that the paper places it among: one row a method, a block a cell.

Statistics are those of the seed of median accuracy, paired with EmbedGrad's median seed on the same items; the range over seeds
stands beside them. Holm's correction runs over the methods of a cell. Costs are those of the same seed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedgrad.files import FAILURES
from embedgrad.reporting.results.answers import read_graded, view
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.history import read_history
from embedgrad.reporting.statistics import Paired, detectable_gain, holm, mcnemar, wilson
from embedgrad.reporting.typeset import markdown_table, short_count, short_p
from embedgrad_core.files import UserError, parse_json, read_json

EMBEDGRAD, BEFORE, UNTRAINED = "embedgrad", "text prompt", "untrained"
# What an answer needs beside the frozen model, by the family of a method.
NEEDS = {
    "": "nothing",
    UNTRAINED: "nothing",
    "embedgrad": "vectors",
    "soft_prompts": "vectors",
    "prefixes": "keys and values",
    "weights": "modules",
    "bottlenecks": "modules",
    "token_search": "nothing",
    "feedback": "nothing",
    "at_test_time": "a longer context",
}
LEGEND = (
    "Best untrained: the rung of the ladder of baselines that did best on dev, where that is not a row of its own. "
    "Δ: percentage points more than EmbedGrad on the same items, with Newcombe's 95 % interval; p: exact McNemar, Holm's "
    "correction over the methods of a cell. Seeds: lowest and highest accuracy. Rate: chosen on dev, * at the edge of the grid. "
    "ms a token ×: the time of a token over the text prompt's, one row at a time, after the first."
)


@dataclass(frozen=True)
class Entry:
    """One method on one cell.

    Attributes:
        cell: data set and model.
        method: its name.
        family: see ``embedgrad rival list``; empty for the text prompt, :data:`UNTRAINED` for rungs of the ladder.
        graded: for each seed the graded answers, the cell's items in one order.
        fits: for each seed what the fit's run file says; empty where nothing is fitted.
        answers: the same of answering.
        histories: for each seed the epochs.
        chosen: the choice of a rate, or nothing.
    """

    cell: Cell
    method: str
    family: str
    graded: Sequence[Sequence[dict]]
    fits: Sequence[dict] = ()
    answers: Sequence[dict] = ()
    histories: Sequence[Sequence[dict]] = ()
    chosen: dict = field(default_factory=dict)

    @property
    def median(self) -> int:
        """Place of the seed of median accuracy, the lower of two."""
        order = sorted(range(len(self.graded)), key=lambda place: (self.correct(place), place))
        return order[(len(order) - 1) // 2]

    def correct(self, place: int) -> int:
        """Right answers of a seed."""
        return sum(row["correct"] for row in self.graded[place])

    def of_median(self, parts: Sequence[Any]) -> Any:
        """A seed's own part, of the median seed; an empty one where there is none."""
        return parts[self.median] if parts else {}


def read_entries(
    results: Path, cell: Cell, methods: Sequence[str], seeds: Sequence[int], run_seeds: Sequence[int]
) -> list[Entry]:
    """The text prompt, EmbedGrad and the methods of one cell.

    Args:
        results: ``results/<run>``.
        cell: data set and model.
        methods: names.
        seeds: of the methods.
        run_seeds: of EmbedGrad's own cells.

    Raises:
        UserError: a file that is missing or not what its run file says.
    """
    own = results / cell.dataset / cell.model
    after = [_graded(own / f"seed{seed}", "after.jsonl", "after.run.json") for seed in run_seeds]
    wanted = [row["id"] for row in after[0][0]]
    before, before_run = _graded(results / cell.task / cell.model, "before.jsonl", "before.run.json")
    name = str(results / cell.task / cell.model / "before.jsonl")
    fitted = [_embedgrad_fit(own / f"seed{seed}") for seed in run_seeds]
    entries = [
        Entry(
            cell,
            BEFORE,
            "",
            [view(before, wanted, {row["id"] for row in before}, name, "the cell")],
            # As many tokens as EmbedGrad has vectors: it starts from them.
            answers=[before_run | {"positions": fitted[0]["positions"]}],
        ),
        Entry(
            cell,
            EMBEDGRAD,
            "embedgrad",
            [_in_order(rows, wanted, own) for rows, _ in after],
            fitted,
            [run | {"positions": fit["positions"]} for fit, (_, run) in zip(fitted, after, strict=True)],
            [read_history(own / f"seed{seed}" / "optimize.jsonl") for seed in run_seeds],
        ),
    ]
    for method in methods:
        home = results / "rivals" / cell.dataset / cell.model / method
        found = [_graded(home / f"seed{seed}", "graded.jsonl", "answer.run.json") for seed in seeds]
        fits = [read_json(home / f"seed{seed}" / "fit.run.json") for seed in seeds]
        entries.append(
            Entry(
                cell,
                method,
                fits[0]["family"],
                [_in_order(rows, wanted, home) for rows, _ in found],
                fits,
                [run for _, run in found],
                [read_history(home / f"seed{seed}" / "fit.jsonl") for seed in seeds],
                read_json(home / "chosen.json") if (home / "chosen.json").exists() else {},
            )
        )
    return entries


def _embedgrad_fit(folder: Path) -> dict:
    """The run file of EmbedGrad's own optimisation, with the size of its prompt as other methods state theirs."""
    try:
        with (folder / "prompt.safetensors").open("rb") as file:
            header = parse_json(file.read(int.from_bytes(file.read(8), "little")).decode("utf-8"))
        k, width = header["vectors"]["shape"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{folder}/prompt.safetensors: not a readable prompt ({error}); make the cell again.") from None
    return read_json(folder / "optimize.run.json") | {
        "trained_parameters": k * width,
        "stored_bytes": 4 * k * width,
        "positions": k,
    }


def _graded(folder: Path, name: str, run: str) -> tuple[list[dict], dict]:
    stated = read_json(folder / run)
    return read_graded(folder / name, stated), stated


def _in_order(rows: Sequence[dict], wanted: Sequence[str], place: Path) -> list[dict]:
    found = view(rows, wanted, set(wanted), str(place), "EmbedGrad's own answers")
    if len(found) != len(wanted):
        raise UserError(f"{place}: answers to other items than EmbedGrad's; answer again.")
    return found


def numbers(entries: Sequence[Entry]) -> list[dict]:
    """One flat row a method, one number a key; accuracies are fractions, Δ percentage points, missing is None."""
    rows = []
    for cell in dict.fromkeys((entry.cell.dataset, entry.cell.model) for entry in entries):
        mine = [entry for entry in entries if (entry.cell.dataset, entry.cell.model) == cell]
        reference = next(entry for entry in mine if entry.method == EMBEDGRAD)
        others = [entry for entry in mine if entry.method != EMBEDGRAD]
        pairs = {entry.method: _paired(reference, entry) for entry in others}
        p_values = [_p(pairs[entry.method]) for entry in others]
        adjusted = dict(zip(pairs, holm(p_values), strict=True))
        for entry in mine:
            pair = pairs.get(entry.method)
            row = _measured(entry)
            if pair is not None:
                low, high = pair.interval
                row |= {"delta": pair.points, "delta_low": low, "delta_high": high}
                row |= {"p": _p(pair), "p_holm": adjusted[entry.method]}
                gain = detectable_gain(pair.n)
                row["detectable"] = None if gain is None else 100 * gain
            rows.append(row)
    return rows


def _paired(reference: Entry, entry: Entry) -> Paired:
    sides = (one.graded[one.median] for one in (reference, entry))
    return Paired.of(*([row["correct"] for row in side] for side in sides))


def _p(pair: Paired) -> float:
    return mcnemar(pair.only_before, pair.only_after)[0]


def _measured(entry: Entry) -> dict:
    place = entry.median
    rows, fit, run = entry.graded[place], entry.of_median(entry.fits), entry.of_median(entry.answers)
    n, correct = len(rows), entry.correct(place)
    low, high = wilson(correct, n)
    counts = [entry.correct(seed) for seed in range(len(entry.graded))]
    failures = Counter(row["failure"] for row in rows)
    settings = fit.get("settings") or {}
    history = entry.of_median(entry.histories) or []
    return {
        "dataset": entry.cell.dataset,
        "model": entry.cell.model,
        "method": entry.method,
        "family": entry.family or None,
        "needs": NEEDS[entry.family],
        "n": n,
        "correct": correct,
        "accuracy": correct / n,
        "wilson_low": low,
        "wilson_high": high,
        "seeds": len(counts),
        "lowest_accuracy": min(counts) / n,
        "highest_accuracy": max(counts) / n,
        **{f"failure_{name}": failures[name] for name in FAILURES if name != "none"},
        "learning_rate": settings.get("learning_rate"),
        "rate_at_edge": entry.chosen.get("at_edge"),
        "best_epoch": fit.get("best_epoch"),
        "trained_parameters": fit.get("trained_parameters", 0),
        "stored_bytes": fit.get("stored_bytes", 0),
        "fit_seconds": fit.get("fit_seconds", _training_seconds(history)) if fit else 0.0,
        "item_forwards": fit.get("item_forwards"),
        "generated_tokens": fit.get("generated_tokens"),
        "fit_peak_memory_bytes": fit.get("peak_memory_bytes"),
        "positions": run.get("positions"),
        "calls": run.get("calls", 1),
        "tokens_an_answer": sum(row["n_tokens"] for row in rows) / n,
    }


def _training_seconds(history: Sequence[dict]) -> float | None:
    found = [line["train_seconds"] for line in history if line.get("train_seconds") is not None]
    return round(sum(found), 3) if found else None


def markdown(rows: Sequence[dict]) -> str:
    """The table for people, a block a cell."""
    told = (f"**{cell}**\n\n{markdown_table(header, lines, ['method'])}" for cell, header, lines in blocks(rows))
    return "\n\n".join([*told, LEGEND]) + "\n"


def blocks(rows: Sequence[dict]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """The name of each cell, what stands above its columns, and a line of texts a method."""
    header = [
        "method",
        "right",
        "accuracy",
        "seeds",
        "Δ to EmbedGrad",
        "p (Holm)",
        "rate",
        "parameters",
        "fit s",
        "positions",
        "calls",
        "ms a token ×",
    ]
    for cell in dict.fromkeys((row["dataset"], row["model"]) for row in rows):
        mine = [row for row in rows if (row["dataset"], row["model"]) == cell]
        lines = [_line(row) for row in mine]
        yield " · ".join(cell), header, lines


def _line(row: dict) -> list[str]:
    rate = "" if row["learning_rate"] is None else f"{row['learning_rate']:g}" + ("*" if row["rate_at_edge"] else "")
    delta = (
        "" if row.get("delta") is None else f"{row['delta']:+.1f} [{row['delta_low']:+.1f}, {row['delta_high']:+.1f}]"
    )
    span = f"{100 * row['lowest_accuracy']:.1f}-{100 * row['highest_accuracy']:.1f}" if row["seeds"] > 1 else ""
    return [
        row["method"],
        f"{row['correct']}/{row['n']}",
        f"{100 * row['accuracy']:.1f} [{100 * row['wilson_low']:.1f}, {100 * row['wilson_high']:.1f}]",
        span,
        delta,
        "" if row.get("p_holm") is None else short_p(row["p_holm"]),
        rate,
        short_count(row["trained_parameters"]),
        "" if row["fit_seconds"] is None else f"{row['fit_seconds']:.0f}",
        "" if row["positions"] is None else str(row["positions"]),
        f"{row['calls']:.3g}",
        "" if row.get("token_ratio") is None else f"{row['token_ratio']:.2f}",
    ]
