"""How a step grows with k, input length, items and layers, measured on this machine.

python benchmarks/growth.py --figure growth.png
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from measure import interleaved, machine, write
from shapes import Workload, build, slot_of

from embedgrad_core.training.step import MicroBatching, accumulate
from embedgrad_core.training.trainable import prompt_vectors


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
                accumulate(prompt_vectors(f, s, v), b, MicroBatching())

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
    axes.set(xlabel="value", ylabel="seconds per step", title="A step of 8 items × (64 + 8) tokens, k = 16, 2 layers")
    axes.title.set_fontsize(9)
    axes.set_xticks([2, 8, 32, 128, 512], ["2", "8", "32", "128", "512"])
    axes.set_yticks([0.3, 0.5, 1, 2, 5], ["0.3", "0.5", "1", "2", "5"])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, help="a PNG")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result: dict = {"machine": machine("cpu"), "arguments": {key: str(value) for key, value in vars(arguments).items()}}
    result["slopes"] = slopes(arguments)
    if arguments.figure:
        draw(result["slopes"], arguments.figure)
    write(arguments.json, result)


if __name__ == "__main__":
    main()
