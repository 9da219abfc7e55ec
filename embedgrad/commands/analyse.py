"""All analyses of one cell in one process: starting torch and loading the model cost more than the work.

embedgrad analyse --model MODEL --prompt-file prompt.safetensors --dev dev.jsonl --test test.jsonl --task TASK \
    --before before.outputs.jsonl --after after.outputs.jsonl --stimuli config/lat_stimuli.jsonl --out-folder FOLDER
"""

import argparse
from pathlib import Path

from embedgrad.commands import anchoring, entropy, lat, likelihood, limits
from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_tuned_arguments,
    arguments_of,
)

HELP = "anchoring, LAT, entropy, label likelihood and token limits of a cell at once"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the analyses share."""
    add_tuned_arguments(parser)
    parser.add_argument("--dev", required=True, type=Path, help="items for the round trip and for LAT")
    parser.add_argument("--test", required=True, type=Path, help="the items that were answered")
    parser.add_argument("--level", help="only the items of this level")
    parser.add_argument("--before", required=True, type=Path, help="answers of the text prompt (*.outputs.jsonl)")
    parser.add_argument("--after", required=True, type=Path, help="answers of the optimised prompt")
    parser.add_argument("--stimuli", required=True, type=Path, help="responses for LAT's second reader")
    lat.add_cost_arguments(parser, prefix="lat-")
    add_decoding_arguments(parser)
    add_grading_arguments(parser)
    parser.add_argument("--out-folder", required=True, type=Path, help="a JSON file per analysis")


def run(arguments: argparse.Namespace) -> None:
    """One after the other; the model is loaded once."""
    folder = arguments.out_folder
    anchoring.run(arguments_of(anchoring, arguments, data=arguments.dev, out=folder / "anchoring.json"))
    sizes = {"pairs": arguments.lat_pairs, "displacements": arguments.lat_displacements}
    lat.run(arguments_of(lat, arguments, data=arguments.dev, out=folder / "lat.json", **sizes))
    entropy.run(arguments_of(entropy, arguments, data=arguments.test, out=folder / "entropy.json"))
    likelihood.run(arguments_of(likelihood, arguments, data=arguments.test, out=folder / "likelihood.json"))
    limits.run(arguments_of(limits, arguments, data=arguments.test, out=folder / "limits.json"))
