"""Answer the items of a split greedily, with the text prompt's own vectors or with optimised ones.

embedgrad decode --model MODEL --prompt-file prompt.safetensors --data test.jsonl --out after.outputs.jsonl
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_layout_arguments,
    add_model_arguments,
    add_part_arguments,
    decoding_from,
    kept_from,
    layout_from,
    load_from,
    shard_from,
)
from embedgrad.commands.checked import output_file, some_text, whole
from embedgrad.commands.output import plain_line
from embedgrad.files import answers_sha256, read_items
from embedgrad_core.files import sha256_of_file, write_json, write_jsonl

HELP = "answer a split greedily, before or after optimisation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt or prompt file, data, outputs."""
    add_model_arguments(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--prompt", type=some_text, help="the human prompt, verbatim (before)")
    which.add_argument("--prompt-file", type=Path, help="an optimised prompt (after); it brings its own layout")
    add_layout_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="JSON lines: id, input, target, answer, level")
    parser.add_argument("--level", help="only the items of this level")
    add_part_arguments(parser)
    add_decoding_arguments(parser)
    parser.add_argument(
        "--out", required=True, type=output_file, help="JSON lines: id, output, n_tokens, stop, entropy_bits, steps"
    )
    parser.add_argument(
        "--batch-invariance-check",
        type=whole(1),
        metavar="N",
        help="answer N items again one at a time; report the flips",
    )
    parser.add_argument("--run-info", type=output_file, help="JSON: versions, device, seconds, memory")


def run(arguments: argparse.Namespace) -> None:
    """Load, decode, write."""
    items = read_items(arguments.data, arguments.level)  # before torch is imported: a bad line is reported at once
    items = shard_from(arguments, items)
    from embedgrad.runtime.progress import Progress
    from embedgrad.runtime.provenance import Run
    from embedgrad_core import Decoding, PromptEmbedding, Slot, decode

    clock = Run()
    frozen = load_from(arguments)
    if arguments.prompt_file:
        prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    else:
        slot = Slot.place(frozen.tokenizer, layout_from(arguments), arguments.prompt)
        prompt = PromptEmbedding.from_text(frozen, slot)
    decoding = decoding_from(arguments, frozen)

    def answer(some: list, how: Decoding, **more: Any) -> list[dict]:
        return [row.row() for row in decode(frozen, prompt.slot, prompt.vectors, some, how, **more)]

    with Progress("answers", len(items), plain_line) as at:
        rows = answer(items, decoding, log=plain_line, kept=kept_from(arguments), steps=True, **at.decoding)
    invariance = None
    if arguments.batch_invariance_check:
        alone = partial(answer, how=replace(decoding, batch_size=1, engine="native", tensor_parallel=None))
        invariance = _batch_invariance(arguments.batch_invariance_check, items, rows, alone)
    write_jsonl(arguments.out, rows)
    if arguments.run_info:
        row = clock.row(
            frozen,
            engine=decoding.engine,
            decoding=decoding.row(),
            batch_invariance=invariance,
            layout=prompt.slot.layout.row(),
            prompt_sha256=sha256_of_file(arguments.prompt_file) if arguments.prompt_file else None,
            # What all cells of a table must share; limits and batches are a task's own.
            protocol={
                "layout": prompt.slot.layout.row(),
                "stop_rule": decoding.stop_rule,
                "loop": asdict(decoding.loop),
                "stop_on_loop": decoding.stop_on_loop,
                **({"repetition_penalty": asked} if (asked := arguments.repetition_penalty) else {}),
            },
            data_sha256={arguments.data.name: sha256_of_file(arguments.data)},
            answers_sha256=answers_sha256(rows),
            items=len(items),
            new_tokens=sum(row["n_tokens"] for row in rows),
        )
        write_json(arguments.run_info, row)
    if arguments.state:  # all is written
        arguments.state.unlink(missing_ok=True)
    plain_line(f"{arguments.out}: {len(rows)} answers")


def _batch_invariance(count: int, items: list, rows: list[dict], answer: Callable[..., list[dict]]) -> dict:
    """How many of a sample of items the native engine answers differently at batch size 1."""
    from embedgrad.runtime.progress import Progress

    sample = random.Random(0).sample(items, min(count, len(items)))
    together = {row["id"]: row["output"] for row in rows}
    with Progress("batch invariance", len(sample), plain_line) as at:
        alone = answer(sample, **at.decoding)
    flipped = [row["id"] for row in alone if row["output"] != together[row["id"]]]
    plain_line(f"batch invariance: {len(flipped)} of {len(sample)} answers differ when decoded one at a time")
    return {"items": len(sample), "flipped": len(flipped), "rate": len(flipped) / max(1, len(sample)), "ids": flipped}
