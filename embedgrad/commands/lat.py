"""Section 5.3: along which direction texts of a concept differ, and how far the optimised prompt moves along it.

Two readers: pairs of the same content in a template that names the concept, as LAT's authors have it, and a file of emotional and
robotic responses, of which the paper speaks.

embedgrad lat --model MODEL --prompt-file prompt.safetensors --stimuli config/lat_stimuli.jsonl --out lat.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import add_tuned_arguments, load_from
from embedgrad.commands.checked import output_file, whole
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items
from embedgrad_core.files import sha256_of_file, write_json

HELP = "linear artificial tomography (Figure 3) of an optimised prompt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file, stimuli, controls."""
    add_tuned_arguments(parser)
    parser.add_argument("--stimuli", required=True, type=Path, help="responses, JSON lines: positive, negative, split")
    parser.add_argument("--data", type=Path, help="items whose last input token is read too (not the test split)")
    parser.add_argument("--level", help="only the items of this level")
    parser.add_argument("--items", type=whole(1), default=32, help="read at most this many of them, the first by id")
    parser.add_argument("--seed", type=whole(0, 10**12), default=0, help="of bootstrap and random directions")
    parser.add_argument("--draws", type=whole(1), default=200, help="bootstrap resamples, and shuffles of the labels")
    parser.add_argument("--random-directions", type=whole(1), default=1000, help="directions of the control")
    add_cost_arguments(parser)
    parser.add_argument("--out", required=True, type=output_file, help="JSON: readers, each with layers and summary")


def add_cost_arguments(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """What most of the time goes into."""
    of_pairs = "pairs of the same content, read in the template: two passes of some 40 tokens each"
    of_prompts = "prompts moved as far at random: a pass over the items each"
    parser.add_argument(f"--{prefix}pairs", type=whole(4, 200), default=200, help=of_pairs)
    parser.add_argument(f"--{prefix}displacements", type=whole(0, 100), default=3, help=of_prompts)


def run(arguments: argparse.Namespace) -> None:
    """Read the stimuli, read the prompt, write."""
    items = read_items(arguments.data, arguments.level) if arguments.data else []
    items = sorted(items, key=lambda item: item.id)[: arguments.items]
    from embedgrad.analyses.lat import lat
    from embedgrad.analyses.matched_pairs import AFTER, BEFORE, matched_pairs
    from embedgrad.runtime.provenance import made_with
    from embedgrad_core import PromptEmbedding
    from embedgrad_core.lat import read_stimuli

    stimuli = read_stimuli(arguments.stimuli)
    frozen = load_from(arguments)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    settings = {name: getattr(arguments, name) for name in ("seed", "draws", "random_directions", "displacements")}
    analysis = lat(frozen, prompt, matched_pairs(arguments.pairs), stimuli, items, **settings, log=plain_line)
    stated = {"template": [BEFORE, AFTER], "stimuli_sha256": sha256_of_file(arguments.stimuli)}
    write_json(arguments.out, analysis | stated | made_with(frozen, arguments.prompt_file))
    for reader, found in analysis["readers"].items():
        best = max(row["accuracy"]["held_out"] for row in found["layers"])
        summary = "; ".join(
            f"{name}: delta above 0 in {one['layers_above_zero']} of {one['layers']} layers"
            for name, one in found["summary"].items()
        )
        plain_line(f"{arguments.out}: {reader}: held-out accuracy up to {best:.2f}; {summary}")
