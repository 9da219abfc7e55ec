"""Prepare a task: load it from the hub or a mirror, split it, and certify the split.

Writes train.jsonl, dev.jsonl, test.jsonl and, last, split.json into --out.

    embedgrad data --task math500 --mirror DIR --out results/mine/data/math500
"""

import argparse
import json
import os
from pathlib import Path

from embedgrad.commands.output import plain_line
from embedgrad_core.files import UserError

HELP = "prepare and certify a task's train, dev and test splits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Source, options and split rule."""
    parser.add_argument("--task", required=True, help="e.g. math500, imdb, medd, causal_judgment")
    parser.add_argument("--out", required=True, type=Path, help="folder for the four files")
    parser.add_argument(
        "--mirror",
        type=Path,
        default=os.environ.get("EMBEDGRAD_MIRROR") or None,
        help="local folder with data/…, used in place of the hub; default: EMBEDGRAD_MIRROR",
    )
    parser.add_argument("--revision", help="hub revision of the data set; default: the task's own")
    parser.add_argument("--options", default="{}", help="JSON object of the task's own options")
    parser.add_argument("--pool", type=int, help="draw this many items, stratified, before splitting")
    parser.add_argument("--input-last-words", type=int, help="cut inputs to their last words")
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--split-rule", choices=["half", "grouped"], default="half")
    parser.add_argument("--dev-fraction", type=float, default=0.2, help="share of train that becomes dev")


def run(arguments: argparse.Namespace) -> None:
    """Prepare the task."""
    from embedgrad.runtime.progress import waiting
    from embedgrad.tasks.splitting.prepare import prepare

    try:
        options = json.loads(arguments.options)
    except json.JSONDecodeError as error:
        raise UserError(f"--options is not JSON ({error}); give an object like '{{\"pool\": 168}}'.") from None
    split = {"seed": arguments.split_seed, "rule": arguments.split_rule, "dev_fraction": arguments.dev_fraction}
    with waiting(f"{arguments.task}: fetching and splitting", plain_line):
        prepare(
            arguments.task,
            arguments.out,
            mirror=arguments.mirror,
            revision=arguments.revision,
            options=options,
            split=split,
            pool=arguments.pool,
            input_last_words=arguments.input_last_words,
        )
    plain_line(f"{arguments.out}/split.json: {arguments.task} prepared")
