r"""Whether the untouched model knows the test inputs by heart: completion of 60 % prefixes, and Min-K % probability.

embedgrad probe contamination --model MODEL --task imdb --data test.jsonl --known train.jsonl dev.jsonl --out contamination.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import add_model_arguments, load_from
from embedgrad.commands.checked import whole
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items
from embedgrad_core.files import sha256_of_file

HELP = "memory of the test inputs: prefix completion and Min-K %"
ITEMS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, items, and where controls come from."""
    add_model_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="the test items")
    parser.add_argument("--level", help="only the items of this level")
    parser.add_argument("--task", help="a task of the suite; one that is generated gives new items as controls")
    parser.add_argument(
        "--known", nargs="*", default=[], type=Path, help="other items that must not be among the controls"
    )
    parser.add_argument("--items", type=whole(1), default=ITEMS, help="test items that are read, at most")


def found(arguments: argparse.Namespace) -> dict:
    """Draw controls, read both."""
    from embedgrad.probes.applies import check_size
    from embedgrad.probes.contamination import Controls, contamination, resampled
    from embedgrad.probes.draws import is_generated, sampled, with_fresh
    from embedgrad.runtime.provenance import made_with

    items = read_items(arguments.data, arguments.level)
    check_size(len(items))
    some = sampled(items, arguments.items)
    if arguments.task and is_generated(arguments.task):
        known = {item.input for path in (arguments.data, *arguments.known) for item in read_items(path)}
        some, fresh, left_out = with_fresh(arguments.task, some, known)
        check_size(len(some))
        controls = Controls([item.input for item in fresh], "fresh", left_out)
    else:
        controls = resampled([item.input for item in some])
    frozen = load_from(arguments)
    told = contamination(frozen, [item.input for item in some], controls, log=plain_line)
    return told | made_with(frozen) | {"data_sha256": {arguments.data.name: sha256_of_file(arguments.data)}}
