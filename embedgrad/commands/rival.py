r"""Fit one of the methods that EmbedGrad stands beside, and answer with it: same loss, order of items, early stop and decoder.

    embedgrad rival list
    embedgrad rival fit --rival lora --model MODEL --prompt "Positive or negative?" --train train.jsonl --dev dev.jsonl \
        --learning-rate 0.001 --out lora.safetensors
    embedgrad rival answer --fitted lora.safetensors --model MODEL --data test.jsonl --out lora.outputs.jsonl
    embedgrad rival cost --fitted lora.safetensors --model MODEL --data test.jsonl --out lora.cost.json
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from embedgrad.commands import rival_cost, rival_results
from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_layout_arguments,
    add_model_arguments,
    add_part_arguments,
    decoding_from,
    kept_from,
    layout_from,
    load_from,
    shard_from,
)
from embedgrad.commands.checked import check_outputs, check_writable, output_file, some_text, text_of_file, whole
from embedgrad.commands.output import plain_line
from embedgrad.files import answers_sha256, read_items
from embedgrad.rivals.costs import allowed_epochs, item_forwards, kv_bytes, total
from embedgrad_core.files import (
    UserError,
    is_number,
    parse_json,
    read_json,
    sha256_of_file,
    write_json,
    write_jsonl,
)

HELP = "fit and answer with the methods that EmbedGrad stands beside: LoRA, prompt tuning, AutoPrompt, …"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions, each with its own arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="the rivals with their families, rates and settings, as a table")
    _add_fit_arguments(actions.add_parser("fit", help="fit a rival to training items"))
    rival_results.add_choose_arguments(actions.add_parser("choose", help="take the fit with the lowest loss on dev"))
    rival_results.add_check_arguments(
        actions.add_parser("check", help="whether prompt tuning from the text is the run's own EmbedGrad")
    )
    rival_results.add_table_arguments(actions.add_parser("table", help="the comparison of a run as table and figures"))
    _add_answer_arguments(actions.add_parser("answer", help="answer items with a fitted rival"))
    rival_cost.add_arguments(
        actions.add_parser("cost", help="time to the first token and a token, beside the text prompt")
    )


def _add_fit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rival", required=True, metavar="NAME", help="one of `embedgrad rival list`")
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one of its settings, as JSON: rank=16",
    )
    add_model_arguments(parser)
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--prompt", type=some_text, help="the human prompt, verbatim")
    prompt.add_argument(
        "--prompt-text-file", dest="prompt", type=text_of_file, metavar="FILE", help="the same, read from a UTF-8 file"
    )
    add_layout_arguments(parser)
    parser.add_argument("--train", required=True, type=Path, help="JSON lines with id, input, target, answer, level")
    parser.add_argument("--dev", required=True, type=Path, help="the same, for early stopping and the choice of a rate")
    parser.add_argument("--level", help="only the items of this level")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--learning-rate", type=float, help="default: the second of the rival's grid")
    rate.add_argument("--chosen", type=Path, help="take the rate from a file that `embedgrad rival choose` wrote")
    parser.add_argument("--optimizer", choices=["adam", "adamw", "sgd"], default="adam")
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--loss-reduction", choices=["item_sum", "token_mean"], default="item_sum")
    parser.add_argument("--epochs", type=whole(1), default=10)
    parser.add_argument("--batch-size", type=whole(1), default=8)
    parser.add_argument("--seed", type=whole(0, 10**12), default=0, help="of the order of items and of what is drawn")
    parser.add_argument("--patience", type=whole(0), default=3, help="epochs without a better one; 0: run all epochs")
    parser.add_argument("--token-budget", type=whole(1), help="tokens run at a time")
    parser.add_argument("--checkpointing", action="store_true", help="less memory, a third more time")
    add_decoding_arguments(parser, limit=None)
    add_grading_arguments(parser)
    parser.add_argument("--out", required=True, type=output_file, help="the fitted rival (safetensors)")
    parser.add_argument("--history", type=output_file, help="JSON lines, one per epoch")
    parser.add_argument("--run-info", type=output_file, help="JSON: costs, versions, device, seconds, memory")
    parser.add_argument("--state", type=output_file, help="resume state; default: beside --out, removed at the end")


def _add_answer_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fitted", required=True, type=Path, help="what `embedgrad rival fit` wrote")
    add_model_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="JSON lines: id, input, target, answer, level")
    parser.add_argument("--level", help="only the items of this level")
    add_decoding_arguments(parser)
    add_part_arguments(parser)
    parser.add_argument(
        "--keep-state",
        action="store_true",
        help="leave the file of --state: Self-Refine of more rounds goes on from it",
    )
    parser.add_argument("--out", required=True, type=output_file, help="JSON lines, as `embedgrad decode` writes them")
    parser.add_argument("--run-info", type=output_file, help="JSON: costs, versions, device, seconds, memory")


def run(arguments: argparse.Namespace) -> None:
    """Do what was asked for."""
    actions = {
        "list": _list,
        "fit": _fit,
        "choose": rival_results.choose,
        "check": rival_results.check,
        "table": rival_results.table,
        "answer": _answer,
        "cost": rival_cost.run,
    }
    actions[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> None:
    from embedgrad.rivals.table import RIVALS

    for rival in RIVALS.values():
        rates = " ".join(f"{rate:g}" for rate in rival.rates) or "-"
        plain_line(f"{rival.name:26}{rival.family:14}{rates:26}{json.dumps(dict(rival.settings))}  {rival.paper}")


def _fit(arguments: argparse.Namespace) -> None:
    state = arguments.state or output_file(str(arguments.out.with_suffix(".state")))
    check_writable(state)
    check_outputs(arguments)
    train, dev = (read_items(path, arguments.level) for path in (arguments.train, arguments.dev))
    from embedgrad.grading import grading_from
    from embedgrad.rivals.environment import check_library, in_own_environment
    from embedgrad.rivals.fitting import Fitting, fit_rival
    from embedgrad.rivals.rival import check_settings
    from embedgrad.rivals.table import TEXTS, rival_named
    from embedgrad.runtime.provenance import Run, versions
    from embedgrad.tuning import fitting_limit
    from embedgrad_core import Settings
    from embedgrad_core.model.memory import peak_memory_bytes

    rival = rival_named(arguments.rival)
    check_library(rival)
    in_own_environment(rival)
    changes = dict(_setting(text) for text in arguments.changes)
    chosen = check_settings(rival, changes)
    clock = Run()
    rate = _chosen_rate(arguments.chosen) if arguments.learning_rate is None else arguments.learning_rate
    if rate is None:
        rate = rival.rates[1] if rival.rates else 1.0
    settings = Settings(
        rate,
        arguments.epochs,
        arguments.batch_size,
        arguments.seed,
        optimizer=arguments.optimizer,
        weight_decay=arguments.weight_decay,
        loss_reduction=arguments.loss_reduction,
        patience=arguments.patience,
        token_budget=arguments.token_budget,
        checkpointing=arguments.checkpointing,
    )
    grading = grading_from(arguments) if arguments.task or arguments.evaluator else None
    frozen = load_from(arguments, chosen.get("quantisation"))
    loaded, loaded_bytes = clock.seconds, peak_memory_bytes(frozen)
    layout = layout_from(arguments)
    if arguments.max_new_tokens is None:
        arguments.max_new_tokens = fitting_limit(frozen, layout, arguments.prompt, [*train, *dev])
    decoding = decoding_from(arguments, frozen)
    fitting = Fitting(layout, arguments.prompt, train, dev, settings, Path(state), plain_line, grading, decoding)
    artefact, history = fit_rival(frozen, rival, fitting, changes)
    artefact.header["versions"] = versions()
    artefact.save(arguments.out, frozen)
    if arguments.history:
        write_jsonl(arguments.history, history)
    if arguments.run_info:
        training = sum(line.get("train_seconds", 0.0) for line in history)
        row = clock.row(
            frozen,
            rival=rival.name,
            family=rival.family,
            rival_settings=chosen,
            settings=asdict(settings) if rival.rates else None,
            layout=artefact.slot.layout.row(),
            trained_parameters=artefact.header["trained_parameters"],
            stored_bytes=artefact.stored_bytes,
            fit_seconds=round(training, 3),
            fit_cpu_seconds=total(history, "train_cpu_seconds"),
            trained_tokens=None if rival.family == "feedback" else total(history, "train_tokens"),
            memory_above_loading_bytes=max(0, peak_memory_bytes(frozen) - loaded_bytes),
            dev_seconds=round(sum(line["seconds"] for line in history) - training, 3),
            load_seconds=round(loaded, 3),
            item_forwards=item_forwards(history, len(train)) if rival.family != "feedback" else None,
            epochs_allowed=allowed_epochs(rival, chosen, settings.epochs),
            epochs_run=max(0, len(history) - 1),
            best_epoch=artefact.header.get("best_epoch"),
            stopped=history[-1].get("stopped") if history else None,
            text=artefact.slot.text if rival.family in TEXTS else None,
            calls=history[-1].get("calls") if history else None,
            generated_tokens=history[-1].get("generated_tokens") if history else None,
            dev_tokens=history[-1].get("dev_tokens") if history else None,
            items={"train": len(train), "dev": len(dev)},
            data_sha256={path.name: sha256_of_file(path) for path in (arguments.train, arguments.dev)},
        )
        write_json(arguments.run_info, row)
    Path(state).unlink(missing_ok=True)
    plain_line(f"{arguments.out}: {rival.name}, {artefact.stored_bytes} bytes of tensors")


def _chosen_rate(path: Path | None) -> float | None:
    if path is None:
        return None
    chosen = read_json(path)
    if not isinstance(chosen, dict) or not is_number(chosen.get("learning_rate")):
        raise UserError(f"{path}: not a choice of a rate; `embedgrad rival choose` writes one.")
    return float(chosen["learning_rate"])


def _answer(arguments: argparse.Namespace) -> None:
    items = shard_from(arguments, read_items(arguments.data, arguments.level))
    from embedgrad.rivals.artefact import Artefact, rival_of
    from embedgrad.rivals.environment import in_own_environment
    from embedgrad.rivals.fitting import answer
    from embedgrad.runtime.provenance import Run

    clock = Run()
    rival = rival_of(arguments.fitted)
    in_own_environment(rival)
    frozen = load_from(arguments, rival.settings.get("quantisation"))
    artefact = Artefact.load(arguments.fitted, frozen)
    decoding = decoding_from(arguments, frozen)
    if decoding.engine != "native":
        raise UserError("rivals are answered by the native engine; leave --engine out.")
    found = answer(frozen, artefact, items, decoding, kept=kept_from(arguments), log=plain_line)
    rows = [row.row() for row in found.rows]
    write_jsonl(arguments.out, rows)
    if arguments.run_info:
        row = clock.row(
            frozen,
            rival=artefact.rival.name,
            engine=decoding.engine,
            decoding=decoding.row(),
            layout=artefact.slot.layout.row(),
            fitted_sha256=sha256_of_file(arguments.fitted),
            positions=found.positions,
            kv_bytes_a_position=kv_bytes(frozen),
            calls=sum(found.calls.values()) / max(1, len(found.calls)),
            data_sha256={arguments.data.name: sha256_of_file(arguments.data)},
            answers_sha256=answers_sha256(rows),
            items=len(items),
            new_tokens=sum(row["n_tokens"] for row in rows),
        )
        write_json(arguments.run_info, row)
    if arguments.state and not arguments.keep_state:
        arguments.state.unlink(missing_ok=True)
    plain_line(f"{arguments.out}: {len(rows)} answers")


def _setting(text: str) -> tuple[str, Any]:
    """A setting as it was given: JSON, or else plain text."""
    key, found, value = text.partition("=")
    if not found or not key:
        raise UserError(f"--set {text}: write it as KEY=VALUE, for example rank=16.")
    try:
        read = parse_json(value)
    except ValueError:
        read = value
    return key, tuple(read) if isinstance(read, list) else read
