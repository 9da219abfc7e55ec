"""One optimisation step: ours against PEFT prompt tuning, the same items, k, start, optimiser and weights.

python benchmarks/optimize.py --layers 4            # a CPU-sized cut of Qwen2.5-0.5B
python benchmarks/optimize.py                       # all 24 layers
python benchmarks/optimize.py --growth growth.png   # memory over target length
"""

import argparse
import statistics
from pathlib import Path

import torch
from measure import interleaved, machine, timed, write
from shapes import SHAPES, WORKLOADS, Workload, build, slot_of

from embedgrad_core.objective import Example
from embedgrad_core.training.step import TOKEN_BUDGET, MicroBatching, accumulate
from embedgrad_core.training.trainable import prompt_vectors


def peft_batch(batch: list[Example], device: str) -> dict[str, torch.Tensor]:
    """A batch as a trainer would collate it: padded on the right, labels on target tokens only."""
    rows = [torch.tensor(example.body + example.target) for example in batch]
    labels = [torch.tensor([-100] * len(example.body) + example.target) for example in batch]
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "input_ids": pad(rows, batch_first=True).to(device),
        "attention_mask": pad([torch.ones_like(row) for row in rows], batch_first=True).to(device),
        "labels": pad(labels, batch_first=True, padding_value=-100).to(device),
    }


class Sides:
    """Both ways to take a step on one workload; ours alone where there is no plain network for the peer."""

    def __init__(self, plain, frozen, workload: Workload, arguments: argparse.Namespace) -> None:
        self.frozen, self.device = frozen, arguments.device
        self.slot = slot_of(workload.k)
        self.batches = workload.batches(arguments.repeats + 1, arguments.batch_size)
        start = frozen.embed(torch.tensor(self.slot.prompt_ids)).float()
        self.vectors = start.clone().requires_grad_()
        self.adam = torch.optim.Adam([self.vectors], lr=1e-3)
        self.batching = MicroBatching(arguments.token_budget, arguments.checkpointing)
        if plain is None:
            return
        from peft import PromptTuningConfig, get_peft_model

        config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=workload.k)
        self.peft = get_peft_model(plain, config)
        self.weight = next(p for p in self.peft.parameters() if p.requires_grad)
        with torch.no_grad():
            self.weight.copy_(start)
        self.peft_adam = torch.optim.Adam([self.weight], lr=1e-3)

    def ours_gradient(self, batch: list[Example]) -> torch.Tensor:
        self.vectors.grad = None
        accumulate(prompt_vectors(self.frozen, self.slot, self.vectors), batch, self.batching)
        return self.vectors.grad.div_(len(batch))

    def peft_gradient(self, batch: list[Example]) -> torch.Tensor:
        self.weight.grad = None
        self.peft(**peft_batch(batch, self.device)).loss.backward()
        return self.weight.grad

    def ours(self, repeat: int) -> None:
        self.ours_gradient(self.batches[repeat])
        self.adam.step()

    def theirs(self, repeat: int) -> None:
        self.peft_gradient(self.batches[repeat])
        self.peft_adam.step()

    def gradient_difference(self) -> float:
        """Largest difference relative to the largest gradient, at the same vectors; PEFT's loss is a mean over tokens."""
        batch = self.batches[0]
        with torch.no_grad():
            self.weight.copy_(self.vectors)
        tokens = sum(len(example.target) for example in batch)
        expected = self.peft_gradient(batch).float() * tokens / len(batch)
        found = self.ours_gradient(batch)
        return float((found - expected).abs().max() / expected.abs().max())


def growth(frozen, arguments: argparse.Namespace) -> list[dict]:
    """Peak memory of a step over the length of the targets."""
    rows = []
    slot = slot_of(18)
    for length in (64, 128, 256, 512, 1024):
        batch = Workload("growth", (32, 32), (length, length), 18).batches(1, 4)[0]
        vectors = frozen.embed(torch.tensor(slot.prompt_ids)).float().requires_grad_()
        batching = MicroBatching(arguments.token_budget)
        accumulate(prompt_vectors(frozen, slot, vectors), batch, batching)
        seconds, peak = timed(
            lambda b=batch, v=vectors, p=batching: accumulate(prompt_vectors(frozen, slot, v), b, p), arguments.device
        )
        whole = 4 * (length + 32 + 18) * frozen.network.config.vocab_size * 4
        rows.append({"target": length, "seconds": seconds, "peak_bytes": peak, "logits_bytes": whole})
        print(f"target {length:5d}: {peak / 1e9:5.2f} GB; the logits of all positions alone: {whole / 1e9:5.2f} GB")
    return rows


def draw_growth(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    lengths = [row["target"] for row in rows]
    axes.plot(lengths, [row["peak_bytes"] / 1e9 for row in rows], "o-", label="a step's peak above the weights")
    axes.plot(lengths, [row["logits_bytes"] / 1e9 for row in rows], "s--", label="(sequence × vocabulary) alone")
    axes.set(xscale="log", yscale="log", xlabel="target tokens per item (4 items)", ylabel="GB", xticks=lengths)
    axes.set_xticklabels(lengths)
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-shape", choices=SHAPES, default="qwen2.5-0.5b")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--token-budget", type=int, default=TOKEN_BUDGET)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--only-ours", action="store_true", help="no peer: for shapes where it does not fit")
    parser.add_argument("--growth", type=Path, help="measure memory over target length instead; a PNG")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    dtype = torch.bfloat16 if arguments.device == "cuda" else torch.float32
    plain, frozen = build(arguments.model_shape, arguments.layers, arguments.device, dtype)
    result = {"machine": machine(arguments.device), "arguments": {k: str(v) for k, v in vars(arguments).items()}}
    if arguments.growth:
        result["growth"] = growth(frozen, arguments)
        draw_growth(result["growth"], arguments.growth)
        write(arguments.json, result)
        return
    body = sum(p.numel() for p in frozen.network.model.layers.parameters())
    result["workloads"] = {}
    print(f"{'':8}{'PEFT s':>9}{'ours s':>9}{'ratio':>7}{'PEFT GB':>9}{'ours GB':>9}{'ratio':>7}{'grad diff':>11}")
    for workload in WORKLOADS:
        sides = Sides(None if arguments.only_ours else plain, frozen, workload, arguments)
        runs = {"ours": sides.ours} if arguments.only_ours else {"peft": sides.theirs, "ours": sides.ours}
        row = interleaved(runs, arguments.repeats, arguments.device)
        tokens = [sum(e.length for e in batch) + workload.k for batch in sides.batches[1:]]
        row["tokens"] = statistics.median(tokens)
        row["body_tflops"] = 4 * body * row["tokens"] / row["ours"]["seconds"] / 1e12
        if not arguments.only_ours:
            row["speed_ratio"] = row["peft"]["seconds"] / row["ours"]["seconds"]
            row["memory_ratio"] = row["ours"]["peak_bytes"] / row["peft"]["peak_bytes"]
            row["gradient_difference"] = sides.gradient_difference()
            peft, ours = row["peft"], row["ours"]
            print(
                f"{workload.name:8}{peft['seconds']:9.2f}{ours['seconds']:9.2f}{row['speed_ratio']:7.2f}"
                f"{peft['peak_bytes'] / 1e9:9.2f}{ours['peak_bytes'] / 1e9:9.2f}{row['memory_ratio']:7.2f}"
                f"{row['gradient_difference']:11.1e}",
                flush=True,
            )
        else:
            ours = row["ours"]
            print(f"{workload.name:8}{'':9}{ours['seconds']:9.3f}{'':16}{ours['peak_bytes'] / 1e9:9.2f}", flush=True)
        result["workloads"][workload.name] = row
    if not arguments.only_ours:
        ratios = [row["speed_ratio"] for row in result["workloads"].values()]
        result["geomean_speed_ratio"] = statistics.geometric_mean(ratios)
        print(f"items/s against PEFT, geometric mean: {result['geomean_speed_ratio']:.2f}")
    write(arguments.json, result)


if __name__ == "__main__":
    main()
