"""A prompt file as an argument: its model, how its answers are decoded and checked, and what of that is changed."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from embedgrad.commands.arguments import add_model_arguments, load_from
from embedgrad.commands.checked import whole
from embedgrad_core.files import UserError
from evaluators import EVALUATORS

if TYPE_CHECKING:
    from embedgrad.api import TunedPrompt
    from embedgrad.grading import Grading
    from embedgrad_core import FrozenModel


def add_prompt_arguments(parser: argparse.ArgumentParser, file: bool = True, required: bool = True) -> None:
    """A prompt file of one's own, its model, and what to change of how it is decoded and graded."""
    if file:
        parser.add_argument(
            "--prompt-file", required=required, type=Path, help="an optimised prompt with its own layout"
        )
    add_model_arguments(parser, required=False)
    group = parser.add_argument_group("decoding and grading", "by default as kept in the prompt file")
    group.add_argument("--max-new-tokens", type=whole(1), help="token limit of an answer")
    group.add_argument("--decode-batch-size", type=whole(1), help="rows decoded together")
    group.add_argument("--engine", choices=["native", "vllm"], help="vllm: faster, an extra (docs/performance.md)")
    group.add_argument("--evaluator", choices=[*EVALUATORS])
    group.add_argument("--labels", help="comma-separated labels of --evaluator label, as in 0=bad,1=good")


def grading_of(arguments: argparse.Namespace, path: Path) -> "Grading | None":
    """How the answers of a prompt are checked: as the arguments say, else as its file does; no model is needed.

    Raises:
        UserError: not a prompt file, or labels that an evaluator cannot use.
    """
    from embedgrad.grading import labels_of, make_grading
    from embedgrad.stored import stored_grading
    from embedgrad_core import read_prompt_file

    kept = stored_grading(path, read_prompt_file(path)[1])
    if arguments.evaluator is None and arguments.labels is None:
        return kept
    return make_grading(arguments.evaluator or "label", labels_of(arguments.labels))


def needed_grading(arguments: argparse.Namespace, path: Path) -> "Grading":
    """The same, for a command that cannot do without.

    Raises:
        UserError: neither the arguments nor the file name one.
    """
    grading = grading_of(arguments, path)
    if grading is None:
        raise UserError(f"{path}: does not say how answers are checked; give --evaluator (and --labels).")
    return grading


def model_of(arguments: argparse.Namespace, path: Path) -> "FrozenModel":
    """The model that the arguments name, else the very one that a prompt file records; it stays in the arguments.

    Raises:
        UserError: not a prompt file, no model named, or one that cannot be loaded.
    """
    from embedgrad.stored import stored_model
    from embedgrad_core import read_prompt_file

    header = read_prompt_file(path)[1]
    arguments.model, arguments.revision = stored_model(path, header, arguments.model, arguments.revision)
    return load_from(arguments)


def prompt_from(arguments: argparse.Namespace, path: Path | None = None) -> "TunedPrompt":
    """The prompt that the arguments name, with its model.

    Raises:
        UserError: not a prompt file, or not this model's.
    """
    from embedgrad.api import load

    path = path or arguments.prompt_file
    grading = grading_of(arguments, path)
    tuned = load(
        path,
        model_of(arguments, path),
        max_new_tokens=arguments.max_new_tokens,
        batch_size=arguments.decode_batch_size,
        engine=arguments.engine,
    )
    tuned.grading = grading
    return tuned
