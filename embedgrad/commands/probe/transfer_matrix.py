r"""One optimised prompt on the test items of every task of its model: a row of the matrix.

embedgrad probe transfer_matrix --model MODEL --prompt-file prompt.safetensors --asked mood 24 data/mood/test.jsonl \
    --asked blame 24 data/blame/test.jsonl --out transfer_matrix.json
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_state_argument,
    add_tuned_arguments,
    decoding_from,
    kept_from,
    load_from,
)
from embedgrad.commands.checked import whole
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items
from embedgrad_core.files import UserError, sha256_of_file
from evaluators.boxed_math import FIRST, LAST

if TYPE_CHECKING:
    from embedgrad.grading import Grading

HELP = "the prompt on the test items of every task of its model"
ITEMS = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file and tasks."""
    add_tuned_arguments(parser)
    parser.add_argument(
        "--asked",
        nargs=3,
        action="append",
        required=True,
        metavar=("TASK", "LIMIT", "FILE"),
        help="a task of the suite, its token limit and its test items; once for each task",
    )
    parser.add_argument("--items", type=whole(1), default=ITEMS, help="test items of each task that are asked, at most")
    parser.add_argument("--strict", action="store_true", help="headline is the strict reading of labels and Yes/No")
    parser.add_argument("--box", choices=[LAST, FIRST], help="which box of an answer counts in tasks of boxed maths")
    add_decoding_arguments(parser)
    add_state_argument(parser)


def found(arguments: argparse.Namespace) -> dict:
    """Ask every task."""
    from embedgrad.analyses.baselines.rungs import label_targets
    from embedgrad.probes.draws import sampled
    from embedgrad.probes.transfer_matrix import AskedTask, check_tasks, transfer_matrix
    from embedgrad.runtime.provenance import made_with
    from embedgrad_core import PromptEmbedding

    given = [(task, _limit(limit), Path(file)) for task, limit, file in arguments.asked]
    items = {task: read_items(file) for task, _, file in given}
    gradings = {task: _grading(task, arguments) for task in items}
    check_tasks({task: len(some) for task, some in items.items()})
    frozen = load_from(arguments)
    decoding = decoding_from(arguments, frozen)
    tasks = {
        task: AskedTask(
            sampled(items[task], arguments.items),
            gradings[task],
            replace(decoding, max_new_tokens=limit),
            label_targets(items[task]) if gradings[task].knows_strict else {},
        )
        for task, limit, _ in given
    }
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    told = transfer_matrix(frozen, prompt, tasks, kept=kept_from(arguments), log=plain_line)
    hashes = {f"{task}/{file.name}": sha256_of_file(file) for task, _, file in given}
    return told | made_with(frozen, arguments.prompt_file) | {"asked_sha256": hashes}


def _grading(task: str, arguments: argparse.Namespace) -> "Grading":
    """How a task's answers are read; a box is of those that have one."""
    from embedgrad.grading import grading_of_task

    own = grading_of_task(task, arguments.strict)
    return grading_of_task(task, arguments.strict, arguments.box) if own.knows_boxes else own


def _limit(text: str) -> int:
    try:
        return whole(1)(text)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"--asked TASK LIMIT FILE: LIMIT: {error}.") from None
