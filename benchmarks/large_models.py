"""What models of 7 to 70 billion parameters need: memory by part, cards, seconds. A forecast from their shapes.

python benchmarks/large_models.py --cards h100 h200
"""

import argparse
from math import ceil

from embedgrad.planning import named_card
from embedgrad.planning.forecast import KNOWN, RESIDENT
from embedgrad_core.objective import CHUNK
from embedgrad_core.step import TOKEN_BUDGET

ROWS, TOKENS = 16, 1024  # answered at a time, and in the cache of each on the average
ITEMS, LENGTH, TARGETS = 8, 291, 220  # of a step: MATH-500's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cards", nargs="+", default=["h100", "h200"])
    parser.add_argument("--parameters", type=float, nargs="+", default=[7.62, 8.03, 14.77, 70.55], help="in 10^9")
    arguments = parser.parse_args()
    print("GB                 weights  cache  activations  checkpointed  logits")
    for size in arguments.parameters:
        shape = KNOWN[size]
        parts = (
            shape.weight_bytes(),
            shape.cache_bytes(ROWS * TOKENS),
            shape.activation_bytes(TOKEN_BUDGET),
            shape.activation_bytes(TOKEN_BUDGET, checkpointing=True),
            shape.head_chunk_bytes(CHUNK),
        )
        told = [f"{part / 1e9:.1f}" for part in parts]
        print(f"{size:6.2f} B parameters {told[0]:>6} {told[1]:>6} {told[2]:>12} {told[3]:>13} {told[4]:>7}")
        weights, cache, plain, checkpointed, logits = parts
        for name in arguments.cards:
            card = named_card(name)
            room = card.memory - RESIDENT
            cards = [ceil((weights + more) / room) for more in (plain + logits, checkpointed + logits, cache)]
            step = shape.step_flops(ITEMS * LENGTH, ITEMS * TARGETS) / card.flops
            decoding = (shape.bytes_a_decoding_step() + parts[1]) / card.read
            print(
                f"    {name}: cards {cards[0]} ({cards[1]} with checkpointing, {cards[2]} to answer); "
                f"a step {step:.2f} s; {ROWS} rows {decoding * 1e3:.0f} ms a token, {ROWS / decoding:.0f} tokens/s"
            )


if __name__ == "__main__":
    main()
