r"""How good a prompt is on data of one's own: the text prompt against the optimised one, item by item.

Items that the prompt was trained on are left out and counted; --keep-seen takes them in.

    embedgrad evaluate --prompt-file prompt.safetensors --data more_reviews.csv
    embedgrad evaluate --prompt-file prompt.safetensors --data stanfordnlp/imdb --data-split test --json

A text prompt on a server that speaks the OpenAI API, one alone or two compared (docs/howto/endpoint.md):

    embedgrad evaluate --endpoint https://api.openai.com/v1 --model gpt-4o-mini-2024-07-18 --data reviews.csv \
        --labels positive,negative --prompt-text-file original.txt distilled.txt --price-per-million-tokens 0.15,0.6 --max-cost 1
"""

import argparse
import json
from typing import TYPE_CHECKING

from embedgrad.commands.arguments import add_own_data_arguments, own_items_from
from embedgrad.commands.checked import output_file
from embedgrad.commands.endpoint import add_endpoint_arguments, check_endpoint, evaluate_endpoint
from embedgrad.commands.output import aside, plain_line
from embedgrad.commands.prompts import add_prompt_arguments, needed_grading, prompt_from
from embedgrad_core.files import write_jsonl

if TYPE_CHECKING:
    from embedgrad.evaluation import Evaluation

HELP = "before and after on data of your own, with interval and p"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt, data, outputs."""
    add_prompt_arguments(parser, required=False)
    names = add_endpoint_arguments(parser)
    data = parser.add_argument_group("data")
    data.add_argument("--data", required=True, help="a .jsonl, .csv or .tsv file or a hub data set")
    data.add_argument("--keep-seen", action="store_true", help="count items that the prompt was trained on, too")
    add_own_data_arguments(data)
    parser.add_argument("--out", type=output_file, help="JSON lines: both answers to each item, graded")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a sentence")
    parser.set_defaults(check=lambda arguments: check_endpoint(arguments, names, parser))


def run(arguments: argparse.Namespace) -> None:
    """Answer, grade, compare."""
    arguments.check(arguments)
    found = evaluate_endpoint(arguments) if arguments.endpoint else _evaluate_file(arguments)
    # Printed before it is written: a full disk loses no result.
    plain_line(json.dumps(found.row(), sort_keys=True) if arguments.json else str(found))
    if not arguments.json:
        for side, failures in found.failures.items():
            kinds = ", ".join(f"{name} {count}" for name, count in sorted(failures.items()) if name != "none")
            plain_line(f"wrong {side}: {kinds or 'none'}")
    if arguments.out:
        write_jsonl(arguments.out, found.rows)


def _evaluate_file(arguments: argparse.Namespace) -> "Evaluation":
    """The text prompt and the optimised one of a prompt file."""
    from embedgrad.runtime.progress import Progress

    # The data first: a bad line is reported before a model is loaded.
    items = own_items_from(arguments, arguments.data, needed_grading(arguments, arguments.prompt_file))
    tuned = prompt_from(arguments)
    with Progress("answers", None, aside) as at:
        return tuned.evaluate(
            items, keep_seen=arguments.keep_seen, name=arguments.data, on_progress=at.of, on_step=at.under_way
        )
