"""Ladder and protocol recovery of one task and model in one process; neither needs an optimised prompt.

embedgrad baselines --model MODEL --prompt "…" --task mood --data test.jsonl --train train.jsonl \
    --ladder ladder.json --recovery recovery.json
"""

import argparse
from pathlib import Path

from embedgrad.commands import ladder, recovery
from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_kept_argument,
    add_layout_arguments,
    add_model_arguments,
    add_shard_argument,
    arguments_of,
)
from embedgrad.commands.checked import output_file, some_text

HELP = "ladder and protocol recovery at once"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What both share."""
    add_model_arguments(parser)
    parser.add_argument("--prompt", required=True, type=some_text, help="the human prompt, verbatim")
    add_layout_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="the items to answer")
    parser.add_argument("--dev", type=Path, help="the items on which the ladder's best rung is chosen")
    parser.add_argument("--train", required=True, type=Path, help="where the ladder's examples come from")
    parser.add_argument("--rewrite", type=some_text, help="another wording of the prompt, as a rung of its own")
    add_decoding_arguments(parser)
    add_shard_argument(parser)
    add_kept_argument(parser)
    add_grading_arguments(parser)
    parser.add_argument("--ladder", required=True, type=output_file, help="JSON")
    parser.add_argument("--recovery", required=True, type=output_file, help="JSON")
    parser.add_argument("--answers", type=output_file, help="JSON lines: every rung's graded answers")


def run(arguments: argparse.Namespace) -> None:
    """One after the other; the model is loaded once, and the text prompt's answers are shared."""
    first = arguments_of(ladder, arguments, out=arguments.ladder)
    ladder.run(first)
    recovery.run(arguments_of(recovery, arguments, out=arguments.recovery, texts=first.texts))
    if arguments.state:  # all is written
        arguments.state.unlink(missing_ok=True)
