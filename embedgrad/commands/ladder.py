"""What the gain stands beside: the same items answered in ways that train nothing (embedgrad/analyses/baselines/rungs.py).

Each rung answers dev, on which the best one is chosen, and the items of --data. A rung that needs a chat template, a closed
set of labels or a rewrite is left out where there is none.

    embedgrad ladder --model MODEL --prompt "…" --task mood --data test.jsonl --dev dev.jsonl --train train.jsonl --out ladder.json
"""

import argparse

from embedgrad.commands.baselines import add_ladder_arguments, add_text_prompt_arguments, answer
from embedgrad.commands.checked import output_file
from embedgrad.planning.demand import EXAMPLES

HELP = "baselines of a task: no prompt, bare, chat, a rewrite, examples, label likelihood, the commonest answer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt, items, outputs."""
    add_text_prompt_arguments(parser)
    add_ladder_arguments(parser)
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="examples of few_shot")
    parser.add_argument(
        "--out", required=True, type=output_file, help="JSON: for each rung n and right answers, by level too"
    )


def run(arguments: argparse.Namespace) -> None:
    """Answer and grade rung by rung."""
    answer(arguments, arguments.out, None)
