"""What models of 7 to 70 billion parameters need: memory by part, GPUs, seconds. A forecast from their shapes.

python benchmarks/large_models.py --gpus h100 h200
"""

import argparse

from embedgrad.planning.demand import KNOWN, Demand, gpus_needed
from embedgrad.planning.gpus import named_gpu
from embedgrad_core.model.costs import Shape
from embedgrad_core.model.sizes import CHUNK, TOKEN_BUDGET

ROWS, TOKENS = 16, 1024  # answered at a time, and in the cache of each on the average
ITEMS, LENGTH, TARGETS = 8, 291, 220  # of a step: MATH-500's
MOST = 16  # GPUs that a model's layers are spread over at most


def demands(shape: Shape) -> list[Demand]:
    """Of a step, of a step with checkpointing, and of answering, in bfloat16."""
    found = []
    for checkpointing in (False, True):
        kept = shape.activation_bytes(TOKEN_BUDGET, checkpointing=checkpointing)
        found.append(Demand(kept, shape.step_bytes(TOKEN_BUDGET, ITEMS * TARGETS, checkpointing=checkpointing) - kept))
    return [*found, Demand(shape.cache_bytes(ROWS * TOKENS), shape.reading_bytes(TOKEN_BUDGET, CHUNK))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", nargs="+", default=["h100", "h200"])
    parser.add_argument("--parameters", type=float, nargs="+", default=[7.62, 8.03, 14.77, 70.55], help="in 10^9")
    arguments = parser.parse_args()
    print("GB                 weights  cache  activations  checkpointed  a step's rest")
    for size in arguments.parameters:
        shape = KNOWN[size]
        needs = demands(shape)
        plain, checkpointed, cache = (need.spread for need in needs)
        sizes = [f"{part / 1e9:.1f}" for part in (shape.weight_bytes(), cache, plain, checkpointed, needs[0].whole)]
        print(f"{size:6.2f} B parameters {sizes[0]:>6} {sizes[1]:>6} {sizes[2]:>12} {sizes[3]:>13} {sizes[4]:>14}")
        for name in arguments.gpus:
            gpu = named_gpu(name)
            gpus = [gpus_needed(shape, 2, [need], gpu.memory, MOST) for need in needs]
            step = shape.step_flops(ITEMS * LENGTH, ITEMS * TARGETS) / gpu.flops
            decoding = (shape.bytes_a_decoding_step() + cache) / gpu.read
            print(
                f"    {name}: GPUs {gpus[0]} ({gpus[1]} with checkpointing, {gpus[2]} to answer); "
                f"a step {step:.2f} s; {ROWS} rows {decoding * 1e3:.0f} ms per token, {ROWS / decoding:.0f} tokens/s"
            )


if __name__ == "__main__":
    main()
