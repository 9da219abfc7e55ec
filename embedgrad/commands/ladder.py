"""What the gain stands beside: the same items without a prompt, with it bare or in the template, and with examples.

The examples of ``few_shot`` carry the format alone: their answers are dealt out among them, so that none belongs to its
input. A rung that needs a chat template is left out for a model that has none.

    embedgrad ladder --model MODEL --prompt "…" --task mood --data test.jsonl --train train.jsonl --out ladder.json
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from contracts import Item, UserError, read_items, sha256_of_file, write_json
from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_layout_arguments,
    add_model_arguments,
    add_shard_argument,
    decoding_from,
    layout_from,
    load_from,
    plain_line,
    shard_from,
)
from embedgrad.commands.checked import output_file, some_text
from embedgrad.planning.demand import EXAMPLES

if TYPE_CHECKING:
    import torch

    from embedgrad_core import FrozenModel, Layout, Slot

HELP = "baselines of a task: no prompt, bare, chat, examples of the format"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt, items, outputs."""
    add_model_arguments(parser)
    parser.add_argument("--prompt", required=True, type=some_text, help="the human prompt, verbatim")
    add_layout_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="the items to answer")
    parser.add_argument("--train", required=True, type=Path, help="where the examples come from")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="examples of few_shot")
    add_decoding_arguments(parser)
    add_shard_argument(parser)
    add_grading_arguments(parser)
    parser.add_argument(
        "--out", required=True, type=output_file, help="JSON: for each rung n and right answers, by level too"
    )


def run(arguments: argparse.Namespace) -> None:
    """Decode and grade rung by rung."""
    items, train = shard_from(arguments, read_items(arguments.data)), read_items(arguments.train)
    from embedgrad.grading import grader_from
    from embedgrad.progress import Progress
    from embedgrad.provenance import versions
    from embedgrad_core import decode

    grader, frozen, layout = grader_from(arguments), load_from(arguments), layout_from(arguments)
    settings = decoding_from(arguments)
    examples = format_examples(train, arguments.examples, layout.target_prefix or "\n")
    found = {}
    for name, slot, vectors in rungs(frozen, layout, arguments.prompt, examples):
        try:
            with Progress(f"ladder, {name}", len(items), plain_line) as at:
                answers = decode(frozen, slot, vectors, items, say=plain_line, **at.decoding, **settings)
        except UserError as error:
            found[name] = {"left_out": str(error)}  # the examples may not fit a short context; the other rungs do
            plain_line(f"{name}: left out, {error}")
            continue
        said = {row.id: row for row in answers}
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for item in items:
            right = grader.line(said[item.id].row(), item.answer)["correct"]
            for level in {"", item.level or ""}:
                counts[level][0] += right
                counts[level][1] += 1
        right, n = counts.pop("", (0, 0))
        levels = {level: {"correct": row[0], "n": row[1]} for level, row in sorted(counts.items())}
        found[name] = {"correct": right, "n": n, "levels": levels}
        plain_line(f"{name}: {right} of {n}")
    decoding = {**settings, "loop": asdict(settings["loop"])}
    data = {path.name: sha256_of_file(path) for path in (arguments.data, arguments.train)}
    more = {"model": frozen.identity(), "decoding": decoding, "versions": versions(), "data_sha256": data}
    write_json(arguments.out, {"rungs": found, **more})


def format_examples(train: list[Item], count: int, target_prefix: str) -> str:
    """``count`` training items with one another's targets: the format without the mapping."""
    chosen = random.Random(0).sample(sorted(train, key=lambda item: item.id), min(count, len(train)))
    targets = [item.target for item in chosen[1:] + chosen[:1]]
    return "\n\n".join(f"{item.input}{target_prefix}{target}" for item, target in zip(chosen, targets, strict=True))


def rungs(
    frozen: "FrozenModel", layout: "Layout", prompt: str, examples: str
) -> "Iterator[tuple[str, Slot, torch.Tensor]]":
    """Name, slot and vectors of each rung."""
    import torch

    from embedgrad_core import PromptEmbedding, Slot

    def of_text(where: "Layout", text: str) -> "tuple[Slot, torch.Tensor]":
        slot = Slot.place(frozen.tokenizer, where, text)
        return slot, PromptEmbedding.from_text(frozen, slot).initial

    bare = replace(layout, kind="bare")
    nothing = replace(bare, separator="")
    # A slot of no tokens: the input alone, behind the BOS token where the tokenizer adds one.
    head = tuple(Slot.place(frozen.tokenizer, nothing, prompt).head_ids)
    yield "no_prompt", Slot(frozen.tokenizer, nothing, "", head, ()), torch.zeros(0, frozen.width)
    yield "bare", *of_text(bare, prompt)
    if frozen.tokenizer.chat_template:
        yield "chat", *of_text(replace(layout, kind="chat"), prompt)
    yield "few_shot", *of_text(bare, f"{examples}\n\n{prompt}")
