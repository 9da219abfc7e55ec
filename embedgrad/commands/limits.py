"""Accuracy over the token limit, before and after: how much of a gain is the limit's (embedgrad/analyses/limits.py).

embedgrad limits --model MODEL --data test.jsonl --task imdb --max-new-tokens 512 \
    --before before.outputs.jsonl --after after.outputs.jsonl --out limits.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import add_decoding_arguments, add_grading_arguments, add_model_arguments, load_from
from embedgrad.commands.checked import output_file
from embedgrad.commands.output import plain_line
from embedgrad.files import answers_sha256, answers_to, read_items
from embedgrad_core.files import write_json

HELP = "accuracy over the token limit, before and after"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Answers, items, grading."""
    add_model_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="the items that were answered")
    parser.add_argument("--level", help="only the items of this level")
    parser.add_argument("--before", required=True, type=Path, help="answers of the text prompt (*.outputs.jsonl)")
    parser.add_argument("--after", required=True, type=Path, help="answers of the optimised prompt")
    add_decoding_arguments(parser)
    add_grading_arguments(parser)
    parser.add_argument("--out", required=True, type=output_file, help="JSON: a row for each limit and side")


def run(arguments: argparse.Namespace) -> None:
    """Cut, grade, write."""
    items = read_items(arguments.data, arguments.level)
    answers = {side: answers_to(items, getattr(arguments, side)) for side in ("before", "after")}
    from embedgrad.analyses.limits import over_limits
    from embedgrad.grading import grading_from
    from embedgrad.runtime.provenance import made_with

    grading, frozen = grading_from(arguments), load_from(arguments)
    most = arguments.max_new_tokens
    found = {side: over_limits(frozen.tokenizer, items, rows, grading, most) for side, rows in answers.items()}
    hashes = {side: answers_sha256(rows) for side, rows in answers.items()}
    write_json(arguments.out, {"n": len(items), **found, "answers_sha256": hashes, **made_with(frozen)})
    for before, after in zip(found["before"], found["after"], strict=True):
        plain_line(f"at most {before['limit']} tokens: {before['correct']} → {after['correct']} of {len(items)}")
