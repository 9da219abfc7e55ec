"""Label likelihoods: each continuation as a text of its own beside all of them as branches of one input.

    python benchmarks/likelihood.py --model MIRROR/models/SmolLM2-135M-Instruct --data results/laptop/data/medd/test.jsonl

Answers of ``--data`` are the labels. Both sides in turn, in one process; prints seconds, their ratio and the largest difference.
"""

import argparse
from pathlib import Path

import torch
from measure import interleaved

from embedgrad.files.rows import read_items
from embedgrad_core import Layout, PromptEmbedding, Slot, load_model
from embedgrad_core.likelihood import continuation_log_likelihoods, token_log_likelihoods
from embedgrad_core.objective import Example

PROMPT = "Please determine the emotion expressed in the following text, choosing only from the labels. Let's think step by step."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or hub id")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    frozen = load_model(arguments.model, device=arguments.device, dtype="float32")
    slot = Slot.place(frozen.tokenizer, Layout(kind="chat"), PROMPT)
    vectors = PromptEmbedding.from_text(frozen, slot).initial
    items = read_items(arguments.data)
    labels = sorted({item.answer for item in items})
    inputs = [item.input for item in items[: arguments.items]]
    apart = [
        Example("", slot.body_ids(text), slot.continuation_ids(text, slot.layout.target_prefix + label))
        for text in inputs
        for label in labels
    ]
    found = {}

    def one_by_one(_: int) -> None:
        sums = [sum(values) for values in token_log_likelihoods(frozen, slot, vectors, apart)]
        found["apart"] = torch.tensor(sums, dtype=torch.float64).reshape(len(inputs), len(labels))

    def branches(_: int) -> None:
        found["branches"], _lengths = continuation_log_likelihoods(frozen, slot, vectors, inputs, labels)

    sides = interleaved({"apart": one_by_one, "branches": branches}, arguments.repeats, arguments.device)
    for name, side in sides.items():
        print(f"{name:9} {side['seconds']:7.2f} s for {len(inputs)} inputs and {len(labels)} labels")
    print(f"ratio {sides['apart']['seconds'] / sides['branches']['seconds']:.2f}", end=", ")
    print(f"largest difference {float((found['apart'] - found['branches']).abs().max()):.1e} nats")


if __name__ == "__main__":
    main()
