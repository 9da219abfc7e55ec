"""How long the whole of Table 2 takes, from arithmetic and a card's rates; and how a step grows, measured here.

python benchmarks/forecast.py --matrix-tflops 600 --bandwidth-tb 4.0 --share 0.4
python benchmarks/forecast.py --slopes growth.png        # measured on this machine
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import torch
from measure import interleaved, machine, write
from shapes import Workload, build, slot_of

from embedgrad_core.costs import Shape
from embedgrad_core.step import Pieces, accumulate

ROOT = Path(__file__).resolve().parents[1]
# https://huggingface.co: config.json of each model.
QWEN_05 = Shape(24, 896, 4864, 14, 2, 64, 151_936, tied=True)
QWEN_15 = Shape(28, 1536, 8960, 12, 2, 128, 151_936, tied=True)
SHAPES = {
    "0.5b": QWEN_05,
    "1.5b": QWEN_15,
    "3b": Shape(36, 2048, 11_008, 16, 2, 128, 151_936, tied=True),
    "7b": Shape(28, 3584, 18_944, 28, 4, 128, 152_064, tied=False),
    "8b": Shape(32, 4096, 14_336, 32, 8, 128, 128_256, tied=False),
    "14b": Shape(48, 5120, 13_824, 40, 8, 128, 152_064, tied=False),
}
# Tokens a task: prompt, input, target, answer while wrong (a third run into the limit), items to train and to test.
TASKS = {
    "math500": {"k": 20, "input": 75, "target": 210, "answer": 900, "train": 200, "dev": 49, "test": 251},
    "imdb": {"k": 20, "input": 290, "target": 2, "answer": 200, "train": 67, "dev": 17, "test": 84},
    "medd": {"k": 48, "input": 19, "target": 2, "answer": 200, "train": 1664, "dev": 416, "test": 2080},
    "causal_judgment": {"k": 40, "input": 260, "target": 2, "answer": 200, "train": 74, "dev": 18, "test": 95},
}
LEVELS = {"1": 0.086, "2": 0.18, "3": 0.21, "4": 0.256, "5": 0.268}


def shape_of(model: str) -> Shape:
    """The configuration behind a model's name."""
    return next(shape for size, shape in sorted(SHAPES.items(), key=lambda pair: -len(pair[0])) if f"-{size}" in model)


def forecast(arguments: argparse.Namespace) -> list[dict]:
    """Hours of each cell: the greater of arithmetic and memory traffic at the given share of the card's rates."""
    rows, answered = [], set()
    with (ROOT / "config" / "cells.tsv").open() as lines:
        cells = list(csv.DictReader(lines, delimiter="\t"))
    for cell in cells:
        task, shape = TASKS[cell["task"]], shape_of(cell["model"])
        part = LEVELS.get(cell["level"], 1.0)
        own = task["input"] + task["target"]
        step = shape.step_flops(task["train"] * part * (own + task["k"] / 8), task["train"] * part * task["target"])
        check = shape.read_flops(task["dev"] * part * own, task["dev"] * part * task["target"])
        train = int(cell["epochs"]) * (step + check)
        decodings = 1 if (cell["task"], cell["model"]) in answered else 2  # "before" is decoded once for all levels
        answered.add((cell["task"], cell["model"]))
        tokens = task["test"] * part * task["answer"]
        rate = arguments.matrix_tflops * 1e12 * arguments.share
        by_arithmetic = shape.read_flops(tokens, tokens) / rate
        traffic = shape.bytes_a_decoding_step() + shape.cache_bytes(arguments.rows * (own + task["answer"] // 2))
        by_memory = tokens / arguments.rows * traffic / (arguments.bandwidth_tb * 1e12 * arguments.share)
        hours = {"train": train / rate / 3600, "decode": decodings * max(by_arithmetic, by_memory) / 3600}
        rows.append({"cell": f"{cell['dataset']}/{cell['model']}", **hours, "train_pflops": train / 1e15})
        print(f"{rows[-1]['cell']:44}{train / 1e15:10.1f} PFLOP{hours['train']:9.3f} h{hours['decode']:9.3f} h")
    total = {key: sum(row[key] for row in rows) for key in ("train", "decode")}
    print(f"{'all 26 cells':44}{'':16}{total['train']:9.2f} h{total['decode']:9.2f} h")
    return rows


def slopes(arguments: argparse.Namespace) -> list[dict]:
    """Seconds of a step while one thing grows and the rest stays."""
    base = Workload("base", (64, 64), (8, 8), 16)
    plain, two = build("qwen2.5-0.5b", 2, "cpu", torch.float32)
    del plain
    rows = []
    cases = {
        "k": [(replace(base, k=k), 8, two) for k in (8, 32, 128, 512)],
        "input length": [(replace(base, body=(n, n)), 8, two) for n in (32, 64, 128, 256, 512)],
        "items": [(base, n, two) for n in (2, 4, 8, 16, 32)],
        "layers": [(base, 8, build("qwen2.5-0.5b", n, "cpu", torch.float32)[1]) for n in (2, 4, 8, 16)],
    }
    for name, grown in cases.items():
        for place, (workload, items, frozen) in enumerate(grown):
            slot, batch = slot_of(workload.k), workload.batches(1, items)[0]
            vectors = frozen.embed(torch.tensor(slot.prompt_ids)).float().requires_grad_()

            def work(_: int, f=frozen, s=slot, v=vectors, b=batch) -> None:
                accumulate(f, s, v, b, Pieces())

            seconds = interleaved({"step": work}, arguments.repeats, "cpu")["step"]["seconds"]
            value = {"k": workload.k, "input length": workload.body[0], "items": items}.get(name, 2 << place)
            rows.append({"what": name, "value": value, "seconds": seconds})
            print(f"{name:14}{value:6d}{seconds:9.3f} s", flush=True)
    return rows


def slope(rows: list[dict]) -> float:
    """Exponent between the two largest values: where the constant part matters least."""
    from math import log

    a, b = rows[-2:]
    return log(b["seconds"] / a["seconds"]) / log(b["value"] / a["value"])


def draw(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    for name, mark in zip(dict.fromkeys(row["what"] for row in rows), "os^D", strict=True):
        mine = [row for row in rows if row["what"] == name]
        label = f"{name} (exponent {slope(mine):.2f})"
        axes.loglog([row["value"] for row in mine], [row["seconds"] for row in mine], f"{mark}-", label=label)
    axes.set(xlabel="value", ylabel="seconds a step", title="A step of 8 items × (64 + 8) tokens, k = 16, 2 layers")
    axes.title.set_fontsize(9)
    axes.set_xticks([2, 8, 32, 128, 512], ["2", "8", "32", "128", "512"])
    axes.set_yticks([0.3, 0.5, 1, 2, 5], ["0.3", "0.5", "1", "2", "5"])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrix-tflops", type=float, default=600, help="bf16 matrix rate of the card, measured")
    parser.add_argument("--bandwidth-tb", type=float, default=4.0, help="memory rate of the card in TB/s, measured")
    parser.add_argument("--share", type=float, default=0.4, help="part of those rates that a run reaches")
    parser.add_argument("--rows", type=int, default=16, help="rows decoded at a time")
    parser.add_argument("--slopes", type=Path, help="measure growth instead; a PNG")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result: dict = {"machine": machine("cpu"), "arguments": {key: str(value) for key, value in vars(arguments).items()}}
    if arguments.slopes:
        result["slopes"] = slopes(arguments)
        draw(result["slopes"], arguments.slopes)
    else:
        result["cells"] = forecast(arguments)
    write(arguments.json, result)


if __name__ == "__main__":
    main()
