r"""How well label likelihoods rank and how sure they may be taken: accuracy, AUROC, Brier score and calibration error.

Reads likelihood.json; a model is loaded only for a rewrite of the prompt.

embedgrad probe calibration --likelihood likelihood.json --train train.jsonl --data test.jsonl --out calibration.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import add_layout_arguments, add_model_arguments, layout_from, load_from
from embedgrad.commands.checked import some_text
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items
from embedgrad_core.files import UserError

HELP = "accuracy, AUROC, Brier score and calibration of label likelihoods"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Likelihoods, items, and the rewrite with what it needs."""
    parser.add_argument("--likelihood", required=True, type=Path, help="what `embedgrad likelihood` wrote of a cell")
    parser.add_argument("--train", required=True, type=Path, help="whose label frequencies are the forecast to beat")
    parser.add_argument("--data", required=True, type=Path, help="the items that were read")
    parser.add_argument("--level", help="only the items of this level")
    parser.add_argument(
        "--rewrite", type=some_text, help="another wording of the prompt, read beside it; takes --model"
    )
    add_model_arguments(parser, required=False)
    add_layout_arguments(parser)


def found(arguments: argparse.Namespace) -> dict:
    """Score what was read; read behind the rewrite."""
    from embedgrad.probes.calibration import calibration, check_labels
    from embedgrad.reporting.results.analyses import read_likelihood
    from embedgrad.reporting.results.probes import origin

    read = read_likelihood(arguments.likelihood)
    items, train = read_items(arguments.data, arguments.level), read_items(arguments.train, arguments.level)
    check_labels(read["labels"], len(items))
    rows = {row["id"]: row for row in read["items"]}
    if set(rows) != {item.id for item in items}:
        raise UserError(f"{arguments.likelihood}: other items than {arguments.data} has; read them again.")
    readings = {
        name: [row[side] for row in rows.values()]
        for name, side in (("text prompt", "before"), ("optimised prompt", "after"))
    }
    if arguments.rewrite:
        readings["rewrite"] = _behind(arguments, items, list(rows), (read.get("model") or {}).get("resolved"))
    answers = [row["answer"] for row in rows.values()]
    train_answers = [item.answer for item in train]
    return calibration(read["labels"], answers, train_answers, readings, read["tokens"]) | origin(read)


def _behind(arguments: argparse.Namespace, items: list, order: list[str], resolved: str | None) -> list[list[float]]:
    """Log-likelihoods of the labels behind the rewrite, in the order of the likelihood file."""
    if not arguments.model:
        raise UserError("--rewrite needs --model, the one that read the other prompts.")
    from embedgrad.analyses.baselines.rungs import label_targets
    from embedgrad.analyses.baselines.text_answers import text_vectors
    from embedgrad.runtime.progress import Progress
    from embedgrad_core.likelihood import continuation_log_likelihoods

    arguments.revision = arguments.revision or "main"
    frozen = load_from(arguments)
    if resolved not in (None, frozen.resolved):
        raise UserError(
            f"--model {arguments.model}: is {frozen.resolved}, but {arguments.likelihood} was read from {resolved}."
        )
    slot, vectors = text_vectors(frozen, layout_from(arguments), arguments.rewrite)
    inputs, labels = [item.input for item in items], list(label_targets(items).values())
    with Progress("label likelihood, rewrite", len(items), plain_line) as at:
        values, _ = continuation_log_likelihoods(frozen, slot, vectors, inputs, labels, on_progress=at.update)
    rows = dict(zip([item.id for item in items], values.tolist(), strict=True))
    return [rows[identity] for identity in order]
