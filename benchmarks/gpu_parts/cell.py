"""Real cells from the data to the metrics, by the workflow's own commands, in one process that loads the model once."""

import contextlib
import hashlib
import shlex
import tarfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
import yaml

from embedgrad import cli
from embedgrad.planning.run_config import RunConfig
from embedgrad_core.files import UserError, read_json
from gpu_parts.record import Context

MODEL = "smollm2-135m-instruct"
FOLDER = "models/SmolLM2-135M-Instruct"
# Of the GGUF file that docs/laptop/README.md names.
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# The cheapest first; seconds that each is worth beginning with.
CELLS = {"imdb": 30, "causal_judgment": 30, "medd": 60, "math500": 60}


def run(context: Context) -> None:
    """Cell by cell, then the ladders, then the archive of all answers."""
    if context.gguf_parts and not context.small:
        context.measure("model from its pieces", partial(put_together, context), 20)
    if not context.mirror:
        context.row("cells", cut="no --mirror: a real cell needs data and weights")
        return
    with contextlib.chdir(context.out):
        config = configuration(context)
        cells = [cell.dataset for cell in config.cells] if context.small else CELLS
        model = config.cells[0].model if context.small else MODEL
        for dataset in cells:
            context.measure(
                f"{dataset}/{model}", partial(cell_rows, context, config, dataset, model), CELLS.get(dataset, 5)
            )
        for dataset in cells:
            context.measure(
                f"ladder of {dataset}/{model}", partial(ladder_rows, config, dataset, model), 2 if context.small else 30
            )
        with tarfile.open("cells.tar.xz", "w:xz") as archive:
            for path in sorted(Path("results").rglob("*.json*")):
                archive.add(path)


def put_together(context: Context) -> Iterator[dict]:
    """The pieces end to end, checked, as a model folder of the mirror.

    Raises:
        UserError: a piece is missing or another file's, or there is no mirror to put the folder into.
    """
    if not context.mirror:
        raise UserError("--gguf-parts makes a model folder of the mirror; name one (--mirror).")
    pieces = sorted(context.gguf_parts.glob("*.gguf.*"), key=lambda path: int(path.suffix[1:]))
    whole = b"".join(path.read_bytes() for path in pieces)
    if (found := hashlib.sha256(whole).hexdigest()) != GGUF_SHA256:
        raise UserError(
            f"{context.gguf_parts}: {len(pieces)} pieces with sha256 {found[:12]}…, not {GGUF_SHA256[:12]}…."
        )
    folder = context.mirror / FOLDER
    if not folder.is_dir():
        (context.out / "whole.gguf").write_bytes(whole)
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield {"seconds": command("from-gguf", str(context.out / "whole.gguf"), f"--out {folder}")}
        (context.out / "whole.gguf").unlink()


def configuration(context: Context) -> RunConfig:
    """The laptop's run on a GPU; in little, a story model on the CPU. Paths in it are the checkout's."""
    root = Path(__file__).resolve().parents[2]
    names = ["tests/configs/stories.yaml"] if context.small else ["config/laptop.yaml", "config/gpu.yaml"]
    values: dict = {}
    for name in names:
        merge(values, yaml.safe_load((root / name).read_text(encoding="utf-8")))
    if context.small:
        values["tasks"]["imdb"]["pool"] = 60
    values |= {"mirror": str(context.mirror), "device": context.device, "cell_table": str(root / values["cell_table"])}
    config = RunConfig.check(values)
    config.set_environment()
    return config


def merge(into: dict, other: dict) -> None:
    """As Snakemake merges configuration files: mappings key by key, all else replaced."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def command(*words: str) -> float:
    """Run one command of the suite; its seconds.

    Raises:
        UserError: it ended with an error, which it has printed.
    """
    argv = [word for part in words for word in shlex.split(part)]
    begun = time.perf_counter()
    if status := cli.main(argv):
        raise UserError(f"embedgrad {argv[0]} ended with status {status}")
    return time.perf_counter() - begun


def cell_rows(context: Context, config: RunConfig, dataset: str, model: str) -> Iterator[dict]:
    """Data, before, optimise, after, grades, metrics; a row of counts and seconds."""
    task, seed = config.cell(dataset, model).task, 0
    data, text = f"results/{config.run}/data/{task}", f"results/{config.run}/{task}/{model}"
    home = f"results/{config.run}/{dataset}/{model}/seed{seed}"
    for folder in (data, home, text):
        Path(folder).mkdir(parents=True, exist_ok=True)
    weights, prompt, grade = config.model_flags(model), config.prompt_flags(task), config.grade_flags(task)
    answering, level = config.decode_flags(task), config.level_flags(dataset)
    seconds = {}
    if not Path(data, "split.json").exists():
        seconds["data"] = command("data", config.data_flags(task), f"--out {data}")
    if not Path(text, "before.jsonl").exists():
        files = f"--data {data}/test.jsonl --out {text}/before.outputs.jsonl --run-info {text}/before.run.json"
        seconds["before"] = command("decode", weights, prompt, answering, files)
        command(
            "grade", grade, f"--data {data}/test.jsonl --outputs {text}/before.outputs.jsonl --out {text}/before.jsonl"
        )
    files = f"--train {data}/train.jsonl --dev {data}/dev.jsonl --out {home}/prompt.safetensors"
    files += f" --history {home}/optimize.jsonl --run-info {home}/optimize.run.json"
    settings = config.optimize_flags(dataset, model, seed)
    seconds["optimize"] = command("optimize", weights, prompt, settings, answering, grade, files)
    files = f"--prompt-file {home}/prompt.safetensors --data {data}/test.jsonl --out {home}/after.outputs.jsonl"
    seconds["after"] = command("decode", weights, level, answering, files, f"--run-info {home}/after.run.json")
    command("grade", grade, f"--data {data}/test.jsonl --outputs {home}/after.outputs.jsonl --out {home}/after.jsonl")
    files = f"--split {data}/split.json --test {data}/test.jsonl --before {text}/before.jsonl --before-run {text}/before.run.json"
    files += f" --after {home}/after.jsonl --after-run {home}/after.run.json --prompt {home}/prompt.safetensors"
    files += f" --history {home}/optimize.jsonl --optimize-run {home}/optimize.run.json --out {home}/metrics.json"
    command("metrics", config.cell_flags(dataset, model, seed), files)
    found, answered = read_json(f"{home}/metrics.json"), read_json(f"{home}/after.run.json")
    yield {
        "n": found["n"],
        "before": found["before"]["correct"],
        "after": found["after"]["correct"],
        "p": found["mcnemar"]["p_exact"],
        "rows_in_flight": answered["decoding"]["batch_size"],
        **{f"{name}_seconds": round(value, 1) for name, value in seconds.items()},
        **({"peak_bytes": torch.cuda.max_memory_allocated()} if context.device == "cuda" else {}),
    }


def ladder_rows(config: RunConfig, dataset: str, model: str) -> Iterator[dict]:
    """What needs no training, on the same items."""
    task = config.cell(dataset, model).task
    data, text = f"results/{config.run}/data/{task}", f"results/{config.run}/{task}/{model}"
    flags = [
        config.model_flags(model),
        config.prompt_flags(task),
        config.rewrite_flags(task),
        config.decode_flags(task),
    ]
    files = f"--data {data}/test.jsonl --dev {data}/dev.jsonl --train {data}/train.jsonl --out {text}/ladder.json"
    seconds = command("ladder", *flags, config.grade_flags(task), files, f"--answers {text}/ladder.jsonl")
    rungs = read_json(f"{text}/ladder.json")["rungs"]
    yield {name: rung.get("correct", "left out") for name, rung in rungs.items()} | {"seconds": round(seconds, 1)}
