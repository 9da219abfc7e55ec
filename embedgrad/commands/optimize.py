r"""Optimise a prompt's embeddings on labelled items; the model stays frozen.

A killed run continues where it was: the state lies in --state until the prompt is written.

    embedgrad optimize --model Qwen/Qwen2.5-0.5B-Instruct --prompt "Positive or negative?" --data reviews.csv \
        --layout chat --evaluator label --labels positive,negative --out prompt.safetensors
    embedgrad optimize --model MODEL --prompt "Solve it." --train train.jsonl --dev dev.jsonl --layout chat --out p.safetensors
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_layout_arguments,
    add_model_arguments,
    add_own_data_arguments,
    decoding_from,
    layout_from,
    load_from,
    own_items_from,
)
from embedgrad.commands.checked import (
    OutputFile,
    check_outputs,
    check_writable,
    output_file,
    some_text,
    text_of_file,
    whole,
)
from embedgrad.commands.output import log_of, tell
from embedgrad.files import read_items
from embedgrad_core.files import Item, UserError, sha256_of_file, write_json, write_jsonl

if TYPE_CHECKING:
    from embedgrad_core import Settings

HELP = "optimise a prompt's embeddings"
OF_OWN_DATA = (
    "dev_fraction",
    "input_column",
    "answer_column",
    "target_column",
    "data_revision",
    "data_config",
    "data_split",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt, data, hyperparameters and outputs."""
    add_model_arguments(parser)
    add_prompt_arguments(parser)
    add_layout_arguments(parser)
    parser.set_defaults(layout=None)  # bare, with a hint where the model knows a template
    data = parser.add_argument_group("data")
    data.add_argument("--data", help="your own: a .jsonl, .csv or .tsv file or a hub data set; dev is split off")
    data.add_argument("--dev-fraction", type=float, help="of --data, for early stopping; default: 0.2")
    data.add_argument("--train", type=Path, help="in place of --data: JSON lines with id, input, target, answer, level")
    data.add_argument("--dev", type=Path, help="the same, for early stopping")
    data.add_argument("--level", help="only the items of this level")
    add_own_data_arguments(data)
    add_loop_arguments(parser)
    add_decoding_arguments(parser, limit=None)
    add_grading_arguments(parser)
    out = parser.add_argument_group("outputs")
    out.add_argument("--out", required=True, type=output_file, help="the prompt file (safetensors)")
    out.add_argument("--history", type=output_file, help="JSON lines, one per epoch")
    out.add_argument(
        "--item-losses", action="store_true", help="the loss of each dev item in the history (not with folds)"
    )
    out.add_argument("--run-info", type=output_file, help="JSON: versions, device, seconds, memory")
    out.add_argument("--json", action="store_true", help="print JSON at the end, and the log on standard error")
    out.add_argument("--state", type=output_file, help="resume state; default: beside --out, removed at the end")


def add_prompt_arguments(parser: argparse.ArgumentParser) -> None:
    """The human prompt, as words or in a file."""
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--prompt", type=some_text, help="the human prompt, verbatim")
    prompt.add_argument(
        "--prompt-text-file", dest="prompt", type=text_of_file, metavar="FILE", help="the same, read from a UTF-8 file"
    )


def add_loop_arguments(parser: argparse.ArgumentParser) -> None:
    """Hyperparameters."""
    loop = parser.add_argument_group("optimisation")
    loop.add_argument(
        "--learning-rate", type=float, default=0.01, help="default: 0.01; the paper: 0.01 at 1.5B, 0.001 from 7B"
    )
    loop.add_argument(
        "--epochs", type=whole(1), default=10, help="passes over the training items, at most; default: 10"
    )
    loop.add_argument("--batch-size", type=whole(1), default=8, help="items per step; default: 8")
    loop.add_argument("--seed", type=whole(0, 10**12), default=0, help="of the order of items; default: 0")
    loop.add_argument("--optimizer", choices=["adam", "adamw", "sgd"], default="adam", help="default: adam")
    loop.add_argument(
        "--weight-decay", type=float, default=0.0, help="default: 0; decay pulls towards zero, away from the text"
    )
    loop.add_argument(
        "--loss-reduction", choices=["item_sum", "token_mean"], default="item_sum", help="default: item_sum, Eq. 6"
    )
    loop.add_argument(
        "--early-stop", choices=["dev_loss", "dev_accuracy"], default="dev_loss", help="default: dev_loss"
    )
    loop.add_argument(
        "--patience", type=whole(0), default=3, help="epochs without a better one; default: 3; 0: run all epochs"
    )
    loop.add_argument(
        "--folds",
        type=whole(0),
        default=0,
        help="where dev has fewer than 20 items: choose the epoch across so many folds; default: 0, never",
    )
    loop.add_argument(
        "--initial-displacement",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="start so far from the text, at random, in mean lengths of its embeddings; default: 0, the text itself",
    )
    loop.add_argument("--displacement-seed", type=whole(0, 10**12), default=0, help="of that start; default: 0")
    loop.add_argument("--token-budget", type=whole(1), help="tokens run at a time; default 1024, or the longest item")
    loop.add_argument("--checkpointing", action="store_true", help="less memory, a third more time (7B-14B)")
    loop.add_argument("--dev-accuracy", action="store_true", help="decode and grade dev after each epoch")


def settings_from(arguments: argparse.Namespace) -> "Settings":
    """The hyperparameters that the arguments say."""
    from embedgrad_core import Settings

    return Settings(**{field.name: getattr(arguments, field.name) for field in fields(Settings)})


def run(arguments: argparse.Namespace) -> None:
    """Gate, optimise, save."""
    nobody_chose, arguments.layout = arguments.layout is None, arguments.layout or "bare"
    arguments.state = arguments.state or OutputFile(arguments.out.with_suffix(".state"))
    check_writable(arguments.state)
    check_outputs(arguments)
    train, dev = _items(arguments)  # before torch is imported: a bad line is reported at once
    from embedgrad.grading import grading_from
    from embedgrad.runtime.provenance import Run, versions
    from embedgrad.tuning import fitting_limit, tune
    from embedgrad_core.anchoring import anchoring_summary
    from embedgrad_core.training.optimization import fold_state
    from embedgrad_core.training.settings import across_folds, answers_dev

    clock = Run()
    settings = settings_from(arguments)
    with_accuracy = answers_dev(arguments.dev_accuracy, settings.early_stop)
    grading = grading_from(arguments) if with_accuracy or arguments.task or arguments.evaluator else None
    if len(arguments.prompt) < 256 and Path(arguments.prompt).is_file():
        log_of(arguments)(
            f"warning: the prompt is the text {arguments.prompt!r}, which names a file; its content is the prompt with "
            "--prompt-text-file"
        )
    frozen, layout = load_from(arguments), layout_from(arguments)
    if nobody_chose and frozen.tokenizer.chat_template:
        log_of(arguments)(
            "hint: this model has a chat template; an instruction-tuned one may answer better with --layout chat"
        )
    if arguments.max_new_tokens is None:
        arguments.max_new_tokens = fitting_limit(frozen, layout, arguments.prompt, [*train, *dev])
    tuned = tune(
        frozen,
        layout,
        arguments.prompt,
        train,
        dev,
        settings,
        grading=grading,
        decoding=decoding_from(arguments, frozen),
        dev_accuracy=arguments.dev_accuracy,
        item_losses=arguments.item_losses,
        folds=arguments.folds,
        state=arguments.state,
        log=log_of(arguments),
    )
    trained, history, slot = tuned.prompt, tuned.history, tuned.prompt.slot
    best, items = trained.header["best_epoch"], {"train": len(train), "dev": len(dev)}
    data = {**items, "level": arguments.level, "task": arguments.task}
    trained.save(arguments.out, {"versions": versions(), "data": data})
    if arguments.history:
        write_jsonl(arguments.history, history)
    if arguments.run_info:
        row = clock.row(
            frozen,
            settings=asdict(settings),
            layout=slot.layout.row(),
            anchoring=anchoring_summary(frozen, trained),
            gate=asdict(tuned.gate),
            engine="native",
            epochs_run=len(history) - 1,
            best_epoch=best,
            stopped=history[-1].get("stopped"),
            items=items,
            data_sha256={path.name: sha256_of_file(path) for path in (arguments.train, arguments.dev) if path},
        )
        write_json(arguments.run_info, row)
    # Only now is the run complete: with the state gone, nothing is left to resume.
    folds = across_folds(arguments.folds, len(train), len(dev))
    for state in (arguments.state, *(fold_state(arguments.state, place) for place in range(1, folds + 1))):
        state.unlink(missing_ok=True)
    row = {"out": str(arguments.out), "vectors": slot.k, "width": frozen.width, "items": items, "history": history}
    text = f"{arguments.out}: {slot.k} vectors of width {frozen.width}, best epoch {best}"
    tell(arguments, row | {"best_epoch": best}, text)


def _items(arguments: argparse.Namespace) -> tuple[list[Item], list[Item]]:
    """Train and dev: two files of the suite, or one's own data split in two."""
    if bool(arguments.data) == bool(arguments.train) or bool(arguments.train) != bool(arguments.dev):
        raise UserError("give --data (split into train and dev here), or both --train and --dev.")
    if arguments.train:
        _refuse(arguments, OF_OWN_DATA, "is for --data; with --train and --dev leave it out")
        from embedgrad.grading import check_answers, labels_of, make_grading

        train, dev = read_items(arguments.train, arguments.level), read_items(arguments.dev, arguments.level)
        if arguments.evaluator == "label":
            check_answers([*train, *dev], make_grading("label", labels_of(arguments.labels)))
        return train, dev
    _refuse(
        arguments, ("level",), "is for --train and --dev; with --data leave it out, or take other rows out of the file"
    )
    if arguments.layout == "bare":
        _refuse(arguments, ("system_message",), "is for --layout chat; layout bare has no system message")
        if arguments.slot == "system":
            raise UserError("--slot system is for --layout chat; layout bare has no turns.")
    from embedgrad.tasks.own.data import split_own

    fraction = 0.2 if arguments.dev_fraction is None else arguments.dev_fraction
    train, dev = split_own(own_items_from(arguments, arguments.data), fraction, arguments.seed)
    log_of(arguments)(f"{arguments.data}: {len(train)} items to train on, {len(dev)} for early stopping")
    return train, dev


def _refuse(arguments: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Refuse arguments that would be ignored in silence."""
    for name in names:
        if getattr(arguments, name) not in (None, ""):
            raise UserError(f"--{name.replace('_', '-')} {why}.")
