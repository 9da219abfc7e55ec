"""The other edition's texts of a task's items, for protocol recovery; where it is not at hand, the file says why.

embedgrad editions --task medd --data train.jsonl dev.jsonl --out editions.json
"""

import argparse
import os
from pathlib import Path

from embedgrad.commands.checked import output_file, whole
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items

HELP = "the texts of a data set's other edition"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Task, items, source."""
    parser.add_argument("--task", required=True, help="a task with two editions: medd")
    parser.add_argument("--data", required=True, nargs="+", type=Path, help="the items whose texts are wanted")
    parser.add_argument("--own", help="the edition that these are of; default: the task's own")
    parser.add_argument(
        "--mirror",
        type=Path,
        default=os.environ.get("EMBEDGRAD_MIRROR") or None,
        help="local folder with data/…, used in place of the hub; default: EMBEDGRAD_MIRROR",
    )
    parser.add_argument("--input-last-words", type=whole(1), help="cut inputs to their last words, as the data were")
    parser.add_argument("--out", required=True, type=output_file, help="JSON: texts by item")


def run(arguments: argparse.Namespace) -> None:
    """Look and write."""
    from embedgrad.tasks.editions import write_edition

    items = [item for path in arguments.data for item in read_items(path)]
    edition = write_edition(
        arguments.task,
        items,
        arguments.out,
        mirror=arguments.mirror,
        own=arguments.own,
        input_last_words=arguments.input_last_words,
    )
    plain_line(f"{arguments.out}: edition {edition.name!r}, {edition.why or f'{len(items)} texts'}")
