"""One method on one cell, as its files say: the graded answers of each seed, and what fitting and answering took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from embedgrad.reporting.results.answers import read_graded, view
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.history import read_history
from embedgrad_core.files import UserError, parse_json, read_json

EMBEDGRAD, BEFORE, UNTRAINED = "embedgrad", "text prompt", "untrained"
# EmbedGrad under the other methods' harness: with its rate chosen as theirs are it is the row EMBEDGRAD that all are compared with,
# and the run's own cells, at the rate of the table of cells, stand beside it.
CONTROL, CONFIGURED = "prompt_tuning_text", "embedgrad (configured rate)"
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
        check: of EmbedGrad with its rate chosen as the others' are: what :mod:`embedgrad.rivals.control` found.
    """

    cell: Cell
    method: str
    family: str
    graded: Sequence[Sequence[dict]]
    fits: Sequence[dict] = ()
    answers: Sequence[dict] = ()
    histories: Sequence[Sequence[dict]] = ()
    chosen: dict = field(default_factory=dict)
    check: dict = field(default_factory=dict)

    def correct(self, place: int) -> int:
        """Right answers of a seed."""
        return sum(row["correct"] for row in self.graded[place])


def read_entries(
    cell: Cell, results: Path, methods: Mapping[str, Sequence[int]], run_seeds: Sequence[int]
) -> list[Entry]:
    """The text prompt, EmbedGrad and the methods of one cell.

    Where the null control is among the methods, it is the row of EmbedGrad, whose rate was then chosen as everyone's is; the run's
    own cells are a row of their own.

    Args:
        cell: data set and model.
        results: ``results/<run>``.
        methods: names, each with its seeds.
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
    text = Entry(
        cell,
        BEFORE,
        "",
        [view(before, wanted, {row["id"] for row in before}, name, "the cell")],
        # As many tokens as EmbedGrad has vectors: it starts from them.
        answers=[before_run | {"positions": fitted[0]["positions"]}],
    )
    run = Entry(
        cell,
        CONFIGURED if CONTROL in methods else EMBEDGRAD,
        "embedgrad",
        [_in_order(rows, wanted, own) for rows, _ in after],
        fitted,
        [run | {"positions": fit["positions"]} for fit, (_, run) in zip(fitted, after, strict=True)],
        [read_history(own / f"seed{seed}" / "optimize.jsonl") for seed in run_seeds],
    )
    home = results / "rivals" / cell.dataset / cell.model
    found = {method: _entry(cell, method, home / method, seeds, wanted) for method, seeds in methods.items()}
    control = found.pop(CONTROL, None)
    if control is None:
        return [text, run, *found.values()]
    check = read_json(home / CONTROL / "check.json")
    searched = replace(control, method=EMBEDGRAD, family="embedgrad", check=check)
    return [text, searched, run, *found.values()]


def _entry(cell: Cell, method: str, home: Path, seeds: Sequence[int], wanted: Sequence[str]) -> Entry:
    found = [_graded(home / f"seed{seed}", "graded.jsonl", "answer.run.json") for seed in seeds]
    fits = [read_json(home / f"seed{seed}" / "fit.run.json") for seed in seeds]
    return Entry(
        cell,
        method,
        fits[0]["family"],
        [_in_order(rows, wanted, home) for rows, _ in found],
        fits,
        [run for _, run in found],
        [read_history(home / f"seed{seed}" / "fit.jsonl") for seed in seeds],
        read_json(home / "chosen.json") if (home / "chosen.json").exists() else {},
    )


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
