"""Section 5.1: how close an optimised prompt stays to its words, and what is left of it when it is put back into words.

With --data and --task (or --evaluator) four prompts are decoded and graded: the text's own vectors, the optimised
ones, those snapped to their nearest tokens, and controls moved as far in random directions.

    embedgrad anchoring --model MODEL --prompt-file prompt.safetensors --out anchoring.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_tuned_arguments,
    decoding_from,
    load_from,
)
from embedgrad.commands.checked import output_file, whole
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items
from embedgrad_core.files import UserError, sha256_of_file, write_json

HELP = "semantic anchoring (Eq. 10) of an optimised prompt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file, and what to grade the round trip on."""
    add_tuned_arguments(parser)
    parser.add_argument("--seed", type=whole(0, 10**12), default=0, help="of the random control")
    parser.add_argument("--controls", type=whole(1), default=3, help="random controls decoded in the round trip")
    parser.add_argument("--data", type=Path, help="grade the round trip on these items (not the test split)")
    parser.add_argument("--level", help="only the items of this level")
    add_decoding_arguments(parser)
    add_grading_arguments(parser)
    parser.add_argument("--out", required=True, type=output_file, help="JSON: positions, summary, round_trip")


def run(arguments: argparse.Namespace) -> None:
    """Measure, decode and grade if asked, write."""
    from embedgrad.grading import grading_from

    wants_grading = bool(arguments.task or arguments.evaluator)
    if wants_grading != bool(arguments.data):
        raise UserError("the round trip needs both --data and --task (or --evaluator); give both or neither.")
    items = read_items(arguments.data, arguments.level) if arguments.data else []
    grading = grading_from(arguments) if items else None
    from embedgrad.analyses.round_trip import round_trip
    from embedgrad.runtime.progress import waiting
    from embedgrad.runtime.provenance import made_with
    from embedgrad_core import PromptEmbedding
    from embedgrad_core.anchoring import semantic_anchoring

    frozen = load_from(arguments)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    with waiting("anchoring, distances to the vocabulary", plain_line):
        analysis = semantic_anchoring(frozen, prompt, arguments.seed)
    analysis["round_trip"] = None
    if grading:
        seeds = range(arguments.seed, arguments.seed + arguments.controls)
        found = round_trip(frozen, prompt, items, grading, decoding_from(arguments, frozen), seeds, log=plain_line)
        analysis["round_trip"] = found | {"data_sha256": sha256_of_file(arguments.data)}
    write_json(arguments.out, analysis | made_with(frozen, arguments.prompt_file))
    summary = analysis["summary"]
    plain_line(
        f"{arguments.out}: {summary['nearest_token_unchanged']} of {summary['positions']} nearest tokens unchanged, "
        f"mean drift {summary['mean_drift']:.3g}"
    )
