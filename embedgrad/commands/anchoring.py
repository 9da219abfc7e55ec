"""Section 5.1: how close an optimised prompt stays to its words, and what is left of it when it is put back into words.

With --data and --task (or --evaluator) four prompts are decoded and graded: the text's own vectors, the optimised
ones, those snapped to their nearest tokens, and a control moved as far in random directions.

    embedgrad anchoring --model MODEL --prompt-file prompt.safetensors --out anchoring.json
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from contracts import Item, UserError, read_items, sha256_of_file, write_json
from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_model_arguments,
    decoding_from,
    load_from,
    plain_line,
)

if TYPE_CHECKING:
    from embedgrad.grading import Grader
    from embedgrad_core import FrozenModel, PromptEmbedding

HELP = "semantic anchoring (Eq. 10) of an optimised prompt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file, and what to grade the round trip on."""
    add_model_arguments(parser)
    parser.add_argument("--prompt-file", required=True, type=Path, help="an optimised prompt")
    parser.add_argument("--seed", type=int, default=0, help="of the random control")
    parser.add_argument("--data", type=Path, help="grade the round trip on these items (not the test split)")
    parser.add_argument("--level", help="only the items of this level")
    add_decoding_arguments(parser)
    add_grading_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, help="JSON: positions, summary, round_trip")


def run(arguments: argparse.Namespace) -> None:
    """Measure, decode and grade if asked, write."""
    from embedgrad.grading import grader_from

    wants_grading = bool(arguments.task or arguments.evaluator)
    if wants_grading != bool(arguments.data):
        raise UserError("the round trip needs both --data and --task (or --evaluator); give both or neither.")
    items = read_items(arguments.data, arguments.level) if arguments.data else []
    grader = grader_from(arguments) if items else None
    from embedgrad.provenance import versions
    from embedgrad_core import PromptEmbedding
    from embedgrad_core.anchoring import anchoring_report
    from embedgrad_core.prompt import prompt_sha256

    frozen = load_from(arguments)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    report = anchoring_report(frozen, prompt, arguments.seed)
    settings = decoding_from(arguments)
    round_trip = None
    if grader:
        round_trip = {
            "n": len(items),
            "data_sha256": sha256_of_file(arguments.data),
            "decoding": {**settings, "loop": asdict(settings["loop"])},
            **_round_trip(frozen, prompt, items, grader, arguments.seed, settings),
        }
    write_json(
        arguments.out,
        {
            **report,
            "round_trip": round_trip,
            "model": frozen.identity(),
            "prompt_sha256": prompt_sha256(arguments.prompt_file),
            "versions": versions(),
        },
    )
    summary = report["summary"]
    plain_line(
        f"{arguments.out}: {summary['nearest_token_unchanged']} of {summary['positions']} nearest tokens unchanged, "
        f"mean drift {summary['mean_drift']:.3g}"
    )


def _round_trip(
    frozen: "FrozenModel", prompt: "PromptEmbedding", items: list[Item], grader: "Grader", seed: int, settings: dict
) -> dict:
    """Accuracy of the four prompts on ``items``; equal vectors are decoded once."""
    import torch

    from embedgrad_core import decode
    from embedgrad_core.anchoring import randomly_displaced, snapped

    sides = {
        "before": prompt.initial,
        "after": prompt.vectors,
        "snapped": snapped(frozen, prompt),
        "random": randomly_displaced(prompt, seed),
    }
    gold, graded = {item.id: item.answer for item in items}, {}
    for side, vectors in sides.items():
        # Vectors that snap back to their own tokens are the text prompt again: the answers are the same.
        same = next((done for done in graded if torch.equal(sides[done], vectors)), None)
        if same:
            graded[side] = graded[same]
        else:
            answers = decode(frozen, prompt.slot, vectors, items, **settings)
            graded[side] = grader.accuracy({row.id: row.output for row in answers}, gold)
        plain_line(f"{side}: accuracy {graded[side]:.3f} on {len(items)} items")
    return {"accuracy": graded, "snapped_equals_before": bool(torch.equal(sides["snapped"], sides["before"]))}
