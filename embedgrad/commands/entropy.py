"""Section 5.2: is the optimised prompt surer of the same words, or does it only say other words?

Both answers of an item, before and after, are read under both prompts, teacher-forced. So the change of Eq. 11 splits
exactly into what the prompt does on the same text and what the text does under the same prompt.

    embedgrad entropy --model MODEL --prompt-file prompt.safetensors --data test.jsonl \
        --before before.outputs.jsonl --after after.outputs.jsonl --out entropy.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import add_model_arguments, load_from, plain_line
from embedgrad.commands.checked import output_file, whole
from embedgrad.files import read_decoded, read_items
from embedgrad_core.files import Item, UserError, write_json

HELP = "trajectory entropy (Eq. 11), teacher-forced on the same text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file, items and both sets of answers."""
    add_model_arguments(parser)
    parser.add_argument("--prompt-file", required=True, type=Path, help="an optimised prompt")
    parser.add_argument("--data", required=True, type=Path, help="the items that were answered")
    parser.add_argument("--level", help="only the items of this level")
    parser.add_argument("--before", required=True, type=Path, help="answers of the text prompt (*.outputs.jsonl)")
    parser.add_argument("--after", required=True, type=Path, help="answers of the optimised prompt")
    parser.add_argument("--max-items", type=whole(1), default=200, help="the first so many by id; more say little new")
    parser.add_argument("--out", required=True, type=output_file, help="JSON: items, summary")


def run(arguments: argparse.Namespace) -> None:
    """Read both answers under both prompts, write."""
    items = sorted(read_items(arguments.data, arguments.level), key=lambda item: item.id)[: arguments.max_items]
    answers = {side: answers_to(getattr(arguments, side), items) for side in ("before", "after")}
    from embedgrad.runtime.progress import Progress
    from embedgrad.runtime.provenance import versions
    from embedgrad_core import PromptEmbedding
    from embedgrad_core.decoding.scoring import entropy_report, read_answer
    from embedgrad_core.prompt import prompt_sha256

    frozen = load_from(arguments)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    ids = {side: [read_answer(frozen, row["output"], row["stop"]) for row in rows] for side, rows in answers.items()}
    bodies = [prompt.slot.body_ids(item.input) for item in items]
    # Each item's two answers under both prompts.
    readings = 4 * sum(bool(before and after) for before, after in zip(ids["before"], ids["after"], strict=True))
    with Progress("entropy, answers read", readings, plain_line, unit="answers") as at:
        report = entropy_report(
            frozen, prompt, [item.id for item in items], bodies, ids["before"], ids["after"], on_items=at.advance
        )
    extra = {
        "model": frozen.identity(),
        "prompt_sha256": prompt_sha256(arguments.prompt_file),
        "versions": versions(),
    }
    write_json(arguments.out, {**report, **extra})
    summary = report["summary"]
    if not summary["n"]:
        plain_line(f"{arguments.out}: no item has two answers that are not empty")
        return
    plain_line(
        f"{arguments.out}: entropy {summary['total']['mean']:+.3f} bits a step, of which the prompt on the same text "
        f"{summary['prompt']['mean']:+.3f} and other text {summary['text']['mean']:+.3f}"
    )


def answers_to(path: Path, items: list[Item]) -> list[dict]:
    """The answers to ``items``, in their order."""
    rows = {row["id"]: row for row in read_decoded(path)}
    missing = [item.id for item in items if item.id not in rows]
    if missing:
        raise UserError(f"{path}: no answer to item {missing[0]} ({len(missing)} are missing); decode again.")
    return [rows[item.id] for item in items]
