"""One optimisation step of true shapes with random weights: items per second, part of the machine's rate, memory, PEFT besides."""

import argparse
import gc
import statistics
from collections.abc import Iterator
from importlib.util import find_spec

import torch
from measure import timed
from optimize import Sides
from shapes import TRUE_SHAPES, WORKLOADS, build

from embedgrad_core.model.costs import Shape
from gpu_parts.facts import measured
from gpu_parts.record import Context

BATCH, REPEATS = 8, 5
# From which shape on activations are computed again, as `checkpointing: auto` does.
CHECKPOINTED = ("qwen2.5-7b", "qwen2.5-14b")


def run(context: Context) -> None:
    """Smallest shape first."""
    _, flops = measured(context)
    for shape in ("small",) if context.small else TRUE_SHAPES:
        context.measure("a step", lambda shape=shape: shape_rows(context, shape, flops), 1 if context.small else 20)


def shape_rows(context: Context, shape: str, flops: float | None) -> Iterator[dict]:
    """A row a workload and side."""
    cuda = context.device == "cuda"
    plain, frozen = build(shape, None, context.device, torch.bfloat16 if cuda else torch.float32)
    sizes = Shape.of(frozen.network.config)
    again = shape in CHECKPOINTED and not context.small
    body = sum(parameter.numel() for parameter in frozen.network.model.layers.parameters())
    has_peft = find_spec("peft") is not None
    if not has_peft:
        yield {"shape": shape, "side": "peft", "cut": "peft is not installed"}
    for workload in WORKLOADS:
        options = argparse.Namespace(
            device=context.device,
            batch_size=2 if context.small else BATCH,
            repeats=REPEATS,
            token_budget=frozen.tokens_in_flight(again),
            checkpointing=again,
        )
        sides = Sides(plain if has_peft else None, frozen, workload, options)
        tokens = statistics.median(sum(e.length for e in batch) + workload.k for batch in sides.batches[1:])
        for side, work in (("ours", sides.ours), ("peft", sides.theirs))[: 2 if has_peft else 1]:
            row = {"shape": shape, "workload": workload.name, "side": side, "checkpointing": again and side == "ours"}
            if context.left() < (1 if context.small else 5):
                yield {**row, "cut": "no time left in the box"}
                continue
            try:
                work(0)
                seen = [
                    timed(lambda work=work, n=n: work(n), context.device)
                    for n in range(1, 2 if context.small else REPEATS)
                ]
            except torch.OutOfMemoryError:
                yield {**row, "error": "out of memory"}
                continue
            seconds, peak = statistics.median(s for s, _ in seen), max(p for _, p in seen)
            row |= {
                "seconds": seconds,
                "items_per_s": options.batch_size / seconds,
                "tokens": tokens,
                "peak_bytes": peak,
            }
            if side == "ours":
                row["token_budget"] = options.token_budget
                row["forecast_bytes"] = forecast(sizes, sides.batches[1], workload.k, options, frozen.dtype.itemsize)
            if flops:
                row["share_of_flops"] = 4 * body * tokens / seconds / flops
            yield row
        if has_peft and context.left() > 5 and workload.name != "maths":
            yield {"shape": shape, "workload": workload.name, "gradient_difference": sides.gradient_difference()}
        del sides
        gc.collect()
        if cuda:
            torch.cuda.empty_cache()


def forecast(sizes: Shape, batch: list, k: int, options: argparse.Namespace, width: int) -> int:
    """Peak above the weights of the fullest piece, by the suite's own formula."""
    tokens = min(options.token_budget, sum(example.length for example in batch) + k)
    longest = max(example.length for example in batch) + k
    targets = sum(len(example.target) for example in batch)
    return sizes.step_bytes(tokens, targets, width, options.checkpointing, longest * len(batch))
