r"""Where overfitting starts: loss, accuracy, entropy, drift and nearest words of every epoch, on dev and on test.

embedgrad probe trajectory --model MODEL --prompt "…" --task mood --train train.jsonl --dev dev.jsonl --data test.jsonl \
    --epochs 20 --out trajectory.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import (
    add_grading_arguments,
    add_layout_arguments,
    add_model_arguments,
    layout_from,
    load_from,
)
from embedgrad.commands.checked import OutputFile, output_file
from embedgrad.commands.optimize import add_loop_arguments, add_prompt_arguments, settings_from
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items
from embedgrad_core.files import sha256_of_file

HELP = "loss, accuracy, entropy and drift of every epoch: where overfitting starts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt, items and hyperparameters; all epochs are run."""
    add_model_arguments(parser)
    add_prompt_arguments(parser)
    add_layout_arguments(parser)
    parser.add_argument("--train", required=True, type=Path, help="JSON lines with id, input, target, answer, level")
    parser.add_argument("--dev", required=True, type=Path, help="the same, on which an epoch would be chosen")
    parser.add_argument("--data", required=True, type=Path, help="the test half, read for the report alone")
    parser.add_argument("--level", help="only the items of this level")
    add_loop_arguments(parser)
    add_grading_arguments(parser)
    parser.add_argument("--state", type=output_file, help="resume state; default: beside --out, removed at the end")


def found(arguments: argparse.Namespace) -> dict:
    """Optimise to the last epoch; read dev and test behind each."""
    train, dev, test = (read_items(path, arguments.level) for path in (arguments.train, arguments.dev, arguments.data))
    from embedgrad.analyses.baselines.rungs import label_targets
    from embedgrad.grading import grading_from
    from embedgrad.probes.applies import check_size
    from embedgrad.probes.training import every_epoch
    from embedgrad.probes.trajectory import check_targets, trajectory
    from embedgrad.runtime.provenance import made_with
    from embedgrad_core import PromptEmbedding, Slot
    from embedgrad_core.training.every_epoch import kept_epochs

    for name, items in (("dev", dev), ("test", test)):
        check_size(len(items), split=name)
    grading = grading_from(arguments)
    if grading.knows_strict:
        check_targets(train, [*dev, *test])
    frozen, settings = load_from(arguments), settings_from(arguments)
    text = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, layout_from(arguments), arguments.prompt))
    state = arguments.state or OutputFile(arguments.out.with_suffix(".state"))
    vectors, history = every_epoch(frozen, text, train, dev, settings, state=state, log=plain_line)
    labels = label_targets([*train, *dev, *test]) if grading.knows_strict else {}
    read = trajectory(frozen, text, vectors, history, {"dev": dev, "test": test}, labels, log=plain_line)
    for path in (state, kept_epochs(state)):
        path.unlink(missing_ok=True)
    paths = (arguments.train, arguments.dev, arguments.data)
    data = {"data_sha256": {path.name: sha256_of_file(path) for path in paths}}
    return read | {"learning_rate": settings.learning_rate} | data | made_with(frozen)
