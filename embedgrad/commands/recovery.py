"""Protocol recovery: what the text prompt scores under each protocol that the paper leaves open; nothing is trained.

Layout × token limit × stop rule × reading, and the axes that --axes names (embedgrad/analyses/baselines/protocols.py).

    embedgrad recovery --model MODEL --prompt "…" --task mood --data test.jsonl --out recovery.json
"""

import argparse

from embedgrad.commands.baselines import SHARES, add_recovery_arguments, add_text_prompt_arguments, answer
from embedgrad.commands.checked import output_file

HELP = "the text prompt under each protocol that the paper leaves open"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt, items, the grid."""
    add_text_prompt_arguments(parser)
    add_recovery_arguments(parser)
    parser.add_argument("--limit-shares", default=SHARES, help="token limits, as shares of --max-new-tokens")
    parser.add_argument(
        "--out", required=True, type=output_file, help="JSON: for each protocol n and right answers, by level"
    )


def run(arguments: argparse.Namespace) -> None:
    """Decode once per layout and variant, cut and grade."""
    answer(arguments, None, arguments.out)
