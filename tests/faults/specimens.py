"""One whole file of each kind that the suite reads back, and the reader that goes as far with it as the suite does."""

import argparse
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from specimens_run import FOREIGN, FORMS, place_and_reader

from embedgrad.files import read_items
from embedgrad_core.files import Item, pack_steps, write_json, write_jsonl

# Kind of file → its form.
KINDS = {
    "prompt": "safetensors",
    "config": "yaml",
    "cells": "tsv",
    "items": "jsonl",
    "own": "jsonl",
    "csv": "csv",
    "outputs": "jsonl",
    "graded": "jsonl",
    "history": "jsonl",
    "sidecar": "json",
    "metrics": "json",
    **FORMS,
}
LABELS = ("happy", "sad")


@dataclass(frozen=True)
class Specimen:
    """A file, and what the suite does with it."""

    path: Path
    read: Callable[[], object]
    foreign: bool = False  # read by other people's packages alone, whose errors are theirs
    seconds: float = 2.0  # that reading may take


def specimen(kind: str, folder: Path) -> Specimen:
    """A whole file of a kind in ``folder``."""
    if kind in FORMS:
        path, read = place_and_reader(kind, folder, _tiny)
        # Where a configuration lost its sizes, transformers first builds layers of the architecture's usual ones.
        return Specimen(path, read, kind in FOREIGN, 20.0 if kind == "merged" else 2.0)
    return {"prompt": _prompt, "config": _config, "cells": _cells, "items": _items, "own": _own, "csv": _csv}.get(
        kind, lambda place: _of_a_run(kind, place)
    )(folder)


def _tiny() -> object:
    """A model of one narrow layer with random weights."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from embedgrad.demo_models import train_tokenizer
    from embedgrad_core import FrozenModel

    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = train_tokenizer(0, texts=200)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    network = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), num_key_value_heads=1, **shape)).eval()
    return FrozenModel(network.requires_grad_(False), tokenizer, "tiny", "main", "sha256:tiny")


def _prompt(folder: Path) -> Specimen:
    from embedgrad.api import load
    from embedgrad_core import Layout, PromptEmbedding, Slot

    frozen = _tiny()
    prompt = PromptEmbedding.from_text(
        frozen, Slot.place(frozen.tokenizer, Layout(target_prefix="\n"), "Name the mood.")
    )
    prompt.header["grading"] = {"evaluator": "label", "options": {"labels": list(LABELS)}, "strict": False}
    loop = {"repeats": 3, "tokens": 24}
    prompt.header["decoding"] = {
        "max_new_tokens": 4,
        "batch_size": 2,
        "stop_rule": "family",
        "engine": "native",
        "loop": loop,
    }
    prompt.header["seen"] = ["0123456789ab"]
    prompt.save(folder / "prompt.safetensors")

    def read() -> None:
        tuned = load(folder / "prompt.safetensors", frozen)
        tuned.grading and tuned.grading.grade("I am sad.", "sad")
        tuned.prompt.drift.tolist()
        tuned.prompt.slot.body_ids("a film")

    return Specimen(folder / "prompt.safetensors", read)


def _config(folder: Path) -> Specimen:
    from embedgrad.planning.run_config import RunConfig

    path = folder / "mine.yaml"
    shutil.copy("config/demo.yaml", path)

    def read() -> None:
        config = RunConfig.read(path)
        for cell in config.cells:
            config.resources.job(cell.model, True)
            config.prompt_flags(cell.task), config.decode_flags(cell.task), config.grade_flags(cell.task)
            config.data_flags(cell.task), config.level_flags(cell.dataset)
            for seed in config.values["seeds"][:3]:
                config.optimize_flags(cell.dataset, cell.model, seed), config.cell_flags(cell.dataset, cell.model, seed)
            if "pretrain" in config.values["models"][cell.model]:
                config.pretrain_flags(cell.model)
        config.table_flags()

    return Specimen(path, read)


def _cells(folder: Path) -> Specimen:
    from embedgrad.reporting.results.cells import read_cells

    path = folder / "mine.tsv"
    path.write_bytes(b"".join(Path("config/cells.tsv").read_bytes().splitlines(keepends=True)[:8]))
    return Specimen(path, lambda: [cell.paper for cell in read_cells(path)])


def _items(folder: Path) -> Specimen:
    path = folder / "train.jsonl"
    write_jsonl(path, [item.row() for item in ITEMS])
    return Specimen(path, lambda: [item.row() for item in read_items(path)])


ITEMS = [Item(f"sums/{n}", f"{n} + 1", f"\\boxed{{{n + 1}}}", str(n + 1), str(n % 2 + 1)) for n in range(6)]
ROWS = [("a lovely film", "happy"), ("I slept, and woke", "sad"), ("“fine”", "happy"), ("so sad", "sad")]


def _own(folder: Path) -> Specimen:
    from embedgrad.tasks.own.data import read_own

    path = folder / "mine.jsonl"
    write_jsonl(
        path, [{"id": f"r{n}", "text": text, "label": label, "level": n} for n, (text, label) in enumerate(ROWS)]
    )
    return Specimen(path, lambda: [item.row() for item in read_own(path, "label", LABELS)])


def _csv(folder: Path) -> Specimen:
    from embedgrad.tasks.own.data import read_own

    path = folder / "mine.csv"
    path.write_text("id,text,label\n" + "".join(f'{n},"{text}",{label}\n' for n, (text, label) in enumerate(ROWS)))
    return Specimen(path, lambda: [item.row() for item in read_own(path, "label", LABELS)])


def _of_a_run(kind: str, folder: Path) -> Specimen:
    """A run of one cell; one of its files is the specimen."""
    from embedgrad.commands import grade
    from embedgrad.commands.arguments import arguments_of
    from embedgrad.reporting.metrics import metrics_from_files
    from embedgrad.reporting.results.cells import read_cells
    from embedgrad.reporting.results.collected import collect
    from embedgrad.reporting.table2 import markdown, numbers

    header = Path("config/cells.tsv").read_text().splitlines()[0]
    (folder / "cells.tsv").write_text(f"{header}\nsums\tsums\t\ttiny\t50.00\t90.00\t+40.00\t0.01\t2\n")
    (cell,) = read_cells(folder / "cells.tsv")
    home = folder / "sums" / "tiny" / "seed0"
    names = {"outputs": "outputs.jsonl", "graded": "after.jsonl", "history": "optimize.jsonl"}
    names |= {"sidecar": "after.run.json", "metrics": "metrics.json"}
    test, before = folder / "data" / "sums" / "test.jsonl", folder / "before.jsonl"
    write_jsonl(test, [item.row() for item in ITEMS])
    decoded = [
        {"id": item.id, "output": f"so \\boxed{{{n + 1}}}", "n_tokens": 9, "stop": "eos", "entropy_bits": 0.25}
        for n, item in enumerate(ITEMS)
    ]
    for row in decoded:
        row["steps"] = pack_steps([len(row["output"]), *[0] * 8], [0.25] * 9)
    write_jsonl(home / "outputs.jsonl", decoded)
    own = {"data": test, "outputs": home / "outputs.jsonl", "out": home / "after.jsonl", "evaluator": "boxed_math"}
    arguments = arguments_of(grade, argparse.Namespace(**own))
    grade.plain_line = lambda *_: None
    grade.run(arguments)
    shutil.copy(home / "after.jsonl", before)
    epoch = {"train_loss": 1.5, "dev_loss": 1.25, "dev_accuracy": 0.5, "drift": 0.01, "seconds": 1.5}
    write_jsonl(home / "optimize.jsonl", [{"epoch": n, **epoch} for n in range(3)])
    write_json(
        home / "after.run.json",
        {"protocol": "a" * 64, "prompt_sha256": "b" * 64, "versions": {"torch": "2"}},
    )

    def metrics(out: Path | None = None) -> dict:
        return metrics_from_files(
            cell, 0, test=test, before=before, after=home / "after.jsonl", history=home / "optimize.jsonl",
            after_run=home / "after.run.json", out=out,
        )  # fmt: skip

    def table() -> None:
        outcomes = collect([cell], folder, [0])
        numbers(outcomes)
        markdown(outcomes)

    metrics(home / "metrics.json")
    read = {"outputs": lambda: grade.run(arguments), "metrics": table}.get(kind, metrics)
    return Specimen(home / names[kind], read)
