r"""What the optimised prompt loses beside the text prompt on changed inputs, another domain, and instructions in the input.

embedgrad probe robustness --model MODEL --prompt-file prompt.safetensors --task imdb --data test.jsonl --out robustness.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_state_argument,
    add_tuned_arguments,
    decoding_from,
    kept_from,
    load_from,
)
from embedgrad.commands.checked import whole
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items
from embedgrad_core.files import sha256_of_file

HELP = "paraphrases, typos, label order, another domain, injected instructions"
ITEMS = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file, items, how they are answered and graded."""
    add_tuned_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="the test items")
    parser.add_argument("--level", help="only the items of this level")
    parser.add_argument("--items", type=whole(1), default=ITEMS, help="test items that are asked, at most")
    parser.add_argument("--seed", type=whole(0, 10**12), default=0, help="of the typos")
    add_decoding_arguments(parser)
    add_grading_arguments(parser)
    add_state_argument(parser)


def found(arguments: argparse.Namespace) -> dict:
    """Ask under every condition."""
    from embedgrad.grading import grading_from
    from embedgrad.probes.applies import check_size
    from embedgrad.probes.draws import sampled
    from embedgrad.probes.robustness import robustness
    from embedgrad.runtime.provenance import made_with
    from embedgrad_core import PromptEmbedding

    items, grading = read_items(arguments.data, arguments.level), grading_from(arguments)
    check_size(len(items))
    frozen = load_from(arguments)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    decoding = decoding_from(arguments, frozen)
    told = robustness(
        frozen,
        prompt,
        sampled(items, arguments.items),
        grading,
        decoding,
        task=arguments.task,
        seed=arguments.seed,
        kept=kept_from(arguments),
        log=plain_line,
    )
    made = made_with(frozen, arguments.prompt_file) | {"decoding": decoding.row()}
    return told | made | {"data_sha256": {arguments.data.name: sha256_of_file(arguments.data)}}
