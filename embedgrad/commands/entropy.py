"""Section 5.2: is the optimised prompt surer of the same words, or does it only say other words?

Both answers of an item, before and after, are read under both prompts, teacher-forced. So the change of Eq. 11 splits
exactly into what the prompt does on the same text and what the text does under the same prompt.

    embedgrad entropy --model MODEL --prompt-file prompt.safetensors --data test.jsonl \
        --before before.outputs.jsonl --after after.outputs.jsonl --out entropy.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import add_tuned_arguments, load_from
from embedgrad.commands.checked import output_file, whole
from embedgrad.commands.output import plain_line
from embedgrad.files import answers_to, read_items
from embedgrad_core.files import write_json

HELP = "trajectory entropy (Eq. 11), teacher-forced on the same text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file, items and both sets of answers."""
    add_tuned_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="the items that were answered")
    parser.add_argument("--level", help="only the items of this level")
    parser.add_argument("--before", required=True, type=Path, help="answers of the text prompt (*.outputs.jsonl)")
    parser.add_argument("--after", required=True, type=Path, help="answers of the optimised prompt")
    parser.add_argument("--max-items", type=whole(1), default=200, help="use the first N items by id; more add little")
    parser.add_argument("--out", required=True, type=output_file, help="JSON: items, summary")


def run(arguments: argparse.Namespace) -> None:
    """Read both answers under both prompts, write."""
    items = sorted(read_items(arguments.data, arguments.level), key=lambda item: item.id)[: arguments.max_items]
    before, after = (answers_to(items, path) for path in (arguments.before, arguments.after))
    from embedgrad.analyses.readings import entropy_of_answers
    from embedgrad.runtime.provenance import made_with
    from embedgrad_core import PromptEmbedding

    frozen = load_from(arguments)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    analysis = entropy_of_answers(frozen, prompt, items, before, after, log=plain_line)
    write_json(arguments.out, analysis | made_with(frozen, arguments.prompt_file))
    summary = analysis["summary"]
    if not summary["n"]:
        plain_line(f"{arguments.out}: no item has two answers that are not empty")
        return
    plain_line(
        f"{arguments.out}: entropy {summary['total']['mean']:+.3f} bits per step, of which the prompt on the same text "
        f"{summary['prompt']['mean']:+.3f} and other text {summary['text']['mean']:+.3f}"
    )
