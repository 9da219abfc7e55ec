r"""Optimise a prompt's embeddings on labelled items; the model stays frozen.

A killed run continues where it was: the state lies in --state until the prompt is written.

    embedgrad optimize --model Qwen/Qwen2.5-0.5B-Instruct --prompt "Positive or negative?" \
        --train train.jsonl --dev dev.jsonl --learning-rate 0.01 --out prompt.safetensors
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from contracts import read_items, write_json, write_jsonl
from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_layout_arguments,
    add_model_arguments,
    decoding_from,
    layout_from,
    load_from,
    plain_line,
)

if TYPE_CHECKING:
    import torch

HELP = "optimise a prompt's embeddings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt, data, hyperparameters and outputs."""
    add_model_arguments(parser)
    parser.add_argument("--prompt", required=True, help="the human prompt, verbatim")
    add_layout_arguments(parser)
    data = parser.add_argument_group("data")
    data.add_argument("--train", required=True, type=Path, help="JSON lines: id, input, target, answer, level")
    data.add_argument("--dev", required=True, type=Path, help="the same, for early stopping")
    data.add_argument("--level", help="only the items of this level")
    loop = parser.add_argument_group("optimisation")
    loop.add_argument("--learning-rate", type=float, default=0.01, help="the paper: 0.01 at 1.5B, 0.001 from 7B")
    loop.add_argument("--epochs", type=int, default=10)
    loop.add_argument("--batch-size", type=int, default=8)
    loop.add_argument("--seed", type=int, default=0)
    loop.add_argument("--optimizer", choices=["adam", "adamw", "sgd"], default="adam")
    loop.add_argument("--weight-decay", type=float, default=0.0, help="decay pulls towards zero, away from the text")
    loop.add_argument("--loss-reduction", choices=["item_sum", "token_mean"], default="item_sum")
    loop.add_argument("--early-stop", choices=["dev_loss", "dev_accuracy"], default="dev_loss")
    loop.add_argument("--patience", type=int, default=3, help="epochs without a better one; 0: run all epochs")
    loop.add_argument("--token-budget", type=int, help="tokens run at a time; default 1024, or the longest item")
    loop.add_argument("--checkpointing", action="store_true", help="less memory, a third more time (7B-14B)")
    loop.add_argument("--dev-accuracy", action="store_true", help="decode and grade dev after each epoch")
    add_decoding_arguments(parser)
    add_grading_arguments(parser)
    out = parser.add_argument_group("outputs")
    out.add_argument("--out", required=True, type=Path, help="the prompt file (safetensors)")
    out.add_argument("--history", type=Path, help="JSON lines, one an epoch")
    out.add_argument("--run-info", type=Path, help="JSON: versions, device, seconds, memory")
    out.add_argument("--state", type=Path, help="resume state; default: beside --out, removed at the end")


def run(arguments: argparse.Namespace) -> None:
    """Gate, optimise, save."""
    train = read_items(arguments.train, arguments.level)  # before torch is imported: a bad line is said at once
    dev = read_items(arguments.dev, arguments.level)
    from tqdm import tqdm

    from embedgrad.grading import grader_from
    from embedgrad.provenance import Run, versions
    from embedgrad_core import PromptEmbedding, Settings, Slot, check_step_zero, decode, optimize
    from embedgrad_core.anchoring import anchoring_summary

    clock = Run()
    settings = Settings(
        learning_rate=arguments.learning_rate,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        optimizer=arguments.optimizer,
        weight_decay=arguments.weight_decay,
        loss_reduction=arguments.loss_reduction,
        early_stop=arguments.early_stop,
        patience=arguments.patience,
        token_budget=arguments.token_budget,
        checkpointing=arguments.checkpointing,
    )
    with_accuracy = arguments.dev_accuracy or settings.early_stop == "dev_accuracy"
    grader = grader_from(arguments) if with_accuracy else None
    frozen = load_from(arguments)
    slot = Slot.place(frozen.tokenizer, layout_from(arguments), arguments.prompt)
    prompt = PromptEmbedding.from_text(frozen, slot)
    gate = check_step_zero(frozen, prompt, [*train, *dev])
    plain_line(
        f"step-0 gate passed: logits differ by {gate.max_logit_difference:.1g}, loss by {gate.loss_difference:.1g}, "
        f"{gate.seams} of {gate.items} items merge at the prompt's edge"
    )

    def dev_accuracy(vectors: "torch.Tensor") -> float:
        answers = decode(frozen, slot, vectors, dev, **decoding_from(arguments))
        return grader.accuracy({row.id: row.output for row in answers}, {item.id: item.answer for item in dev})

    bar = tqdm(total=settings.epochs + 1, unit="epoch", disable=not sys.stderr.isatty())

    def log(line: dict) -> None:
        bar.update()
        if "stopped" in line:
            plain_line(f"epoch {line['epoch']}: stopped, {line['stopped']}; the best prompt so far is kept")
            return
        accuracy = "" if line["dev_accuracy"] is None else f", dev accuracy {line['dev_accuracy']:.3f}"
        train_loss = "" if line["train_loss"] is None else f"train loss {line['train_loss']:.4g}, "
        best = " (best)" if line["best"] else ""
        plain_line(
            f"epoch {line['epoch']}: {train_loss}dev loss {line['dev_loss']:.4g}{accuracy}, drift {line['drift']:.3g}, "
            f"{line['seconds']:.1f} s{best}"
        )

    state = arguments.state or arguments.out.with_suffix(".state")
    trained, history = optimize(
        frozen,
        prompt,
        train,
        dev,
        settings,
        dev_accuracy=dev_accuracy if with_accuracy else None,
        state=state,
        log=log,
        say=plain_line,
    )
    bar.close()
    trained.save(
        arguments.out,
        {
            "gate": gate.row(),
            "versions": versions(),
            "data": {"train": len(train), "dev": len(dev), "level": arguments.level, "task": arguments.task},
        },
    )
    if arguments.history:
        write_jsonl(arguments.history, history)
    if arguments.run_info:
        anchoring = anchoring_summary(frozen, trained)
        row = clock.row(
            frozen,
            settings=asdict(settings),
            layout=asdict(slot.layout),
            anchoring=anchoring,
            gate=gate.row(),
            engine="native",
            epochs_run=len(history) - 1,
            best_epoch=trained.header["best_epoch"],
            stopped=history[-1].get("stopped"),
            items={"train": len(train), "dev": len(dev)},
        )
        write_json(arguments.run_info, row)
    # Only now is the run complete: with the state gone, nothing is left to resume.
    state.unlink(missing_ok=True)
    plain_line(f"{arguments.out}: {slot.k} vectors of width {frozen.width}, best epoch {trained.header['best_epoch']}")
