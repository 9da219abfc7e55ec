"""The log-likelihood of each label after the text prompt and after the optimised one: what the model knows, whatever it says.

embedgrad likelihood --model MODEL --prompt-file prompt.safetensors --data test.jsonl --task imdb --out likelihood.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import add_grading_arguments, add_tuned_arguments, load_from
from embedgrad.commands.checked import output_file
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items
from embedgrad_core.files import write_json

HELP = "label likelihood after the text prompt and the optimised one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file, items, grading."""
    add_tuned_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="the items to read")
    parser.add_argument("--level", help="only the items of this level")
    add_grading_arguments(parser)
    parser.add_argument(
        "--out", required=True, type=output_file, help="JSON: labels, and for each item their likelihoods"
    )


def run(arguments: argparse.Namespace) -> None:
    """Read every label after every input; write."""
    items = read_items(arguments.data, arguments.level)
    from embedgrad.analyses.readings import label_likelihoods
    from embedgrad.grading import grading_from
    from embedgrad.reporting.analyses import likelihood_summary
    from embedgrad.runtime.provenance import made_with
    from embedgrad_core import PromptEmbedding

    grading, frozen = grading_from(arguments), load_from(arguments)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    found = label_likelihoods(frozen, prompt, items, grading, log=plain_line)
    write_json(arguments.out, found | made_with(frozen, arguments.prompt_file))
    for side, row in likelihood_summary(found).items():
        plain_line(f"{arguments.out}: {side}: {row['correct']} of {row['n']} by likelihood, AUROC {row['auroc']}")
