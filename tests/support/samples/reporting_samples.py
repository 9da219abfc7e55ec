"""Small made-up runs for the tests of reporting: files as the steps before it write them."""

import atexit
import functools
import random
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from embedgrad.files import read_items
from embedgrad.reporting.analyses import write_rows
from embedgrad.reporting.metrics import metrics_from_files
from embedgrad.reporting.results.cells import COLUMNS, Cell, read_cells
from embedgrad.reporting.rivals.entries import BEFORE, CONFIGURED, EMBEDGRAD, UNTRAINED, Entry
from embedgrad.reporting.rivals.numbers import numbers
from embedgrad_core.files import read_json, read_jsonl, write_json, write_jsonl

PAPER_SIZES = {
    "math500": {"1": 22, "2": 45, "3": 53, "4": 64, "5": 67},
    "imdb": {None: 84},
    "medd": {None: 400},
    "causal_judgment": {None: 95},
}


def cell(dataset="sums", task="sums", level=None, model="tiny", paper=None, learning_rate=0.01, epochs=10) -> Cell:
    before, after, delta = paper or (None, None, None)
    return Cell(dataset, task, level, model, before, after, delta, learning_rate, epochs)


def graded(identity: str, failure: str = "none", **more) -> dict:
    found = failure in ("none", "wrong")
    stop = {"loop": "loop_suspect", "truncated": "length"}.get(failure, "eos")
    row = {"id": identity, "output": f"answer of {identity}", "n_tokens": 20, "stop": stop, "entropy_bits": 0.25}
    row |= {"extracted": "7" if found else None, "correct": failure == "none", "failure": failure, "reason": ""}
    return row | more


def item(identity: str, level: str | None = None) -> dict:
    return {"id": identity, "input": "1 + 1", "target": "2", "answer": "2", "level": level}


def write_cells(path: Path, lines: list[list[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join("\t".join(line) for line in [list(COLUMNS), *lines]) + "\n", encoding="utf-8")
    return path


def demo_cells(path: Path) -> Path:
    lines = []
    for task, levels in (("arithmetic", ["", "1", "2", "3"]), ("sentiment", [""]), ("parity", [""])):
        for level in levels:
            dataset = f"{task}-L{level}" if level else task
            for model in ("tiny-0.2m", "tiny-0.8m"):
                lines.append([dataset, task, level, model, "", "", "", "0.01", "10"])
    return write_cells(path, lines)


DEMO_SIZES = {"arithmetic": {"1": 30, "2": 30, "3": 30}, "sentiment": {None: 64}, "parity": {None: 64}}


def make_run(folder: Path, cells: list[Cell], sizes: dict, skip=(), seeds=(0,), seed=7) -> Path:
    """A whole run below ``folder``: splits, graded answers, histories, metrics; cells named in ``skip`` stay out.

    Each run is made once in a process; whoever asks again gets a copy of its files.
    """
    shares = tuple((task, tuple(levels.items())) for task, levels in sizes.items())
    shutil.copytree(_made(tuple(cells), shares, tuple(skip), tuple(seeds), seed), folder, dirs_exist_ok=True)
    return folder


@functools.cache
def _home() -> Path:
    folder = tempfile.mkdtemp(prefix="embedgrad-runs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def _made(cells: tuple, shares: tuple, skip: tuple, seeds: tuple, seed: int) -> Path:
    folder, sizes = Path(tempfile.mkdtemp(dir=_home())), {task: dict(levels) for task, levels in shares}
    chance = random.Random(seed)
    for task in dict.fromkeys(cell.task for cell in cells):
        items = [item(f"{task}-{level}-{k}", level) for level, n in sizes[task].items() for k in range(n)]
        write_jsonl(folder / "data" / task / "test.jsonl", items)
        write_json(folder / "data" / task / "split.json", {"task": task, "n": len(items)})
    for place, one in enumerate(cells):
        if one.name in skip:
            continue
        test = folder / "data" / one.task / "test.jsonl"
        before = folder / one.task / one.model / "before.jsonl"
        share = float(one.before) / 100 if one.before else chance.uniform(0.05, 0.5)
        goal = float(one.after) / 100 if one.after else chance.uniform(0.6, 1.0)
        if not before.exists():
            write_jsonl(before, [_answer(row.id, share, chance, 0.6) for row in read_items(test)])
        for number in seeds:
            home = folder / one.dataset / one.model / f"seed{number}"
            rows = [_answer(row.id, goal, chance, 0.05) for row in read_items(test, one.level)]
            write_jsonl(home / "after.jsonl", rows)
            epochs = history(chance, one.epochs, with_accuracy=place % 2 == 0)
            write_jsonl(home / "optimize.jsonl", epochs)
            run = {"protocol": "a" * 64, "best_epoch": 6, "epochs_run": len(epochs) - 1}
            write_json(home / "optimize.run.json", run)
            count(folder, one, number)
    return folder


def count(folder: Path, one: Cell, seed: int = 0) -> None:
    """Write ``metrics.json`` from the files that a test may have changed."""
    home = folder / one.dataset / one.model / f"seed{seed}"
    epochs = len(read_jsonl(home / "optimize.jsonl")) - 1
    write_json(home / "optimize.run.json", read_json(home / "optimize.run.json") | {"epochs_run": epochs})
    metrics_from_files(
        one,
        seed,
        test=folder / "data" / one.task / "test.jsonl",
        before=folder / one.task / one.model / "before.jsonl",
        after=home / "after.jsonl",
        history=home / "optimize.jsonl",
        optimize_run=home / "optimize.run.json",
        split=folder / "data" / one.task / "split.json",
        out=home / "metrics.json",
    )


def _answer(identity: str, accuracy: float, chance: random.Random, loops: float) -> dict:
    if chance.random() < accuracy:
        return graded(identity, entropy_bits=chance.uniform(0.05, 0.3), n_tokens=chance.randrange(20, 80))
    kinds = [loops, (1 - loops) / 2, (1 - loops) / 2]
    kind = chance.choices(["loop", "wrong", "no_answer"], kinds)[0]
    return graded(identity, kind, entropy_bits=chance.uniform(0.01, 0.4), n_tokens=chance.randrange(20, 200))


def history(chance: random.Random, epochs: int, with_accuracy: bool = False) -> list[dict]:
    start, rate, lines = chance.uniform(1.5, 4.0), chance.uniform(0.2, 0.6), []
    last = epochs if chance.random() < 0.6 else max(4, epochs - 3)
    for epoch in range(last + 1):
        dev = start * (0.2 + 0.8 * 2.718 ** (-rate * epoch)) + chance.uniform(0, 0.04) + 0.012 * max(0, epoch - 6) ** 2
        lines.append(
            {
                "epoch": epoch,
                "train_loss": None if epoch == 0 else dev * chance.uniform(0.86, 0.98),
                "dev_loss": dev,
                "dev_accuracy": min(1.0, 0.1 + 0.09 * epoch) if with_accuracy else None,
                "gradient_norm": None if epoch == 0 else 1.0,
                "drift": 0.01 * epoch,
                "tokens_per_s": None if epoch == 0 else 900.0,
                "seconds": 1.5,
                "peak_memory_bytes": 10**8,
            }
        )
    return lines


def paper_run(folder: Path, cells_path: Path, skip=()) -> tuple[Path, list[Cell]]:
    cells = read_cells(cells_path)
    return make_run(folder, cells, PAPER_SIZES, skip), cells


# A comparison of other methods on forty items; each is right on a stretch of them.
# EmbedGrad has items 0-29 right. Method → family, what is right, and what its fit and its answers say of themselves.
_ALONE = {"threads": 1, "model": {"device": "cpu"}}
_TIME = {"fit_cpu_seconds": 100.0, "trained_tokens": 1000, **_ALONE}
OWN_FIT = {"trained_parameters": 640, "stored_bytes": 2560, "best_epoch": 6, **_TIME}
_SLOW = {"fit_cpu_seconds": 400.0}
_ASIS = {"positions": 10}
METHODS = {
    "prompt_tuning_random": ("soft_prompts", range(12), {**OWN_FIT, "best_epoch": 9}, _ASIS),
    "p_tuning_v2": ("prefixes", range(29), {**OWN_FIT, "trained_parameters": 9000, "stored_bytes": 36000}, _ASIS),
    "lora": ("weights", range(40), {**OWN_FIT, "trained_parameters": 5000, "best_epoch": 3, "fit_cpu_seconds": 70.0}, _ASIS),
    "ia3": ("weights", range(30), {**OWN_FIT, "trained_parameters": 600}, _ASIS),
    "fine_tuning": ("weights", range(25), {"trained_parameters": 2 * 10**6, "best_epoch": 8, **_TIME, **_SLOW}, _ASIS),
    "autoprompt": ("token_search", range(8), {"fit_cpu_seconds": 900.0, "trained_tokens": 9000, **_ALONE}, _ASIS),
    "gcg": ("token_search", range(28), {"fit_cpu_seconds": 110.0, "trained_tokens": 1001, **_ALONE}, _ASIS),
    "few_shot_4": ("at_test_time", range(10), {}, {"positions": 200}),
    "self_refine_1": ("at_test_time", range(20), {}, {"positions": 10, "calls": 2.5}),
}  # fmt: skip


# The null control, and the rates that it was chosen from; none of it where the control was not run.
SEARCHED: dict = {
    "chosen": {"tried": [{}] * 4, "at_edge": False},
    "check": {"equal": True, "loss": 0.0, "vectors": 0.0, "note": ""},
}


def compared(
    dataset: str = "imdb", methods: Iterable[str] = METHODS, own: dict | None = None, searched: dict | None = None
) -> list[dict]:
    """The rows of one cell as :func:`embedgrad.reporting.rivals.numbers.numbers` counts them."""
    one = cell(dataset=dataset, task=dataset)
    entries = [
        Entry(one, "no prompt", UNTRAINED, [_right_on(range(5))], answers=[{"positions": 0}]),
        Entry(one, BEFORE, "", [_right_on(range(9))], answers=[{"positions": 10}]),
    ]
    mine = SEARCHED if searched is None else searched
    fit = [OWN_FIT | (own or {})], [{"positions": 10}]
    entries.append(Entry(one, EMBEDGRAD, "embedgrad", [_right_on(range(30))], *fit, **mine))
    if mine:
        entries.append(Entry(one, CONFIGURED, "embedgrad", [_right_on(range(1, 31))], *fit))
    for method in methods:
        family, right, fit, answers = METHODS[method]
        entries.append(Entry(one, method, family, [_right_on(right)], [fit], [answers]))
    return numbers(entries)


def write_compared(rows: Sequence[dict], folder: Path) -> Path:
    """``rivals.csv`` with its seal."""
    write_rows(rows, folder / "rivals.csv")
    return folder / "rivals.csv"


def _right_on(right: Iterable[int]) -> list[dict]:
    known = set(right)
    return [graded(f"i/{k}", "none" if k in known else "wrong", n_tokens=10) for k in range(40)]
