"""What an optimised prompt has become: how far each of its words moved, and which words it stands nearest to.

embedgrad inspect prompt.safetensors --png drift.png
embedgrad inspect prompt.safetensors --json > anchoring.json
"""

import argparse
import json
from pathlib import Path

from embedgrad.commands.arguments import add_model_arguments
from embedgrad.commands.checked import figure_file
from embedgrad.commands.output import plain_line, silent
from embedgrad.commands.prompts import model_of

HELP = "drift and anchoring of a prompt, word by word"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file, its model, outputs."""
    parser.add_argument("prompt_file", type=Path, help="an optimised prompt")
    add_model_arguments(parser, required=False)
    parser.add_argument("--png", type=figure_file, help="the drift of each word as a picture")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Measure and show."""
    from embedgrad.analyses.words import pieces_of, show
    from embedgrad_core import PromptEmbedding
    from embedgrad_core.anchoring import semantic_anchoring

    arguments.log = silent
    frozen = model_of(arguments, arguments.prompt_file)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    analysis = semantic_anchoring(frozen, prompt)
    if arguments.png:
        from embedgrad.reporting.figures.drawing import save
        from embedgrad.reporting.figures.drift import drift

        save(drift(pieces_of(prompt), [row["drift"] for row in analysis["positions"]]), arguments.png)
    if arguments.json:
        plain_line(json.dumps({**analysis, "header": prompt.header}, sort_keys=True))
        return
    show(prompt, analysis, arguments.prompt_file)
    if arguments.png:
        plain_line(f"{arguments.png}: drift by word")
