r"""How much of a gain is format, how much knowledge: the same optimisation on targets that are shuffled among the items.

embedgrad probe shuffled --model MODEL --prompt-file prompt.safetensors --task mood --train train.jsonl --dev dev.jsonl \
    --data test.jsonl --before before.jsonl --after after.jsonl --out shuffled.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_model_arguments,
    decoding_from,
    load_from,
)
from embedgrad.commands.checked import OutputFile, output_file
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items
from embedgrad_core.files import UserError, sha256_of_file, write_jsonl

HELP = "the gain of the same optimisation on shuffled targets: format without knowledge"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The optimised prompt, what it was trained on, and both sets of graded answers."""
    add_model_arguments(parser)
    parser.add_argument("--prompt-file", required=True, type=Path, help="the optimised prompt; it says how it was made")
    parser.add_argument("--train", required=True, type=Path, help="the items that it was trained on")
    parser.add_argument("--dev", required=True, type=Path, help="the items that its epoch was chosen on")
    parser.add_argument("--data", required=True, type=Path, help="the items to answer")
    parser.add_argument("--level", help="only the items of this level")
    parser.add_argument("--before", required=True, type=Path, help="graded answers of the text prompt")
    parser.add_argument("--after", required=True, type=Path, help="graded answers of the optimised prompt")
    add_decoding_arguments(parser)
    add_grading_arguments(parser)
    parser.add_argument("--answers", type=output_file, help="JSON lines: the graded answers after shuffled targets")
    parser.add_argument("--state", type=output_file, help="resume state; default: beside --out, removed at the end")


def found(arguments: argparse.Namespace) -> dict:
    """Train, answer, grade, compare."""
    train, dev, test = (read_items(path, arguments.level) for path in (arguments.train, arguments.dev, arguments.data))
    from embedgrad.analyses.baselines.rungs import label_targets
    from embedgrad.grading import grading_from
    from embedgrad.probes.applies import check_size
    from embedgrad.probes.shuffled import answered, likeliest, split_gain, train_shuffled
    from embedgrad.runtime.progress import Progress
    from embedgrad.runtime.provenance import made_with
    from embedgrad_core import PromptEmbedding
    from embedgrad_core.decoding.kept_rows import KeptRows
    from embedgrad_core.training.every_epoch import kept_epochs

    check_size(len(test))
    sides = {side: _graded(getattr(arguments, side), [item.id for item in test]) for side in ("before", "after")}
    grading, frozen = grading_from(arguments), load_from(arguments)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    state = arguments.state or OutputFile(arguments.out.with_suffix(".state"))
    kept = state.with_suffix(".answers.state")
    trained, how = train_shuffled(frozen, prompt, train, dev, grading.knows_strict, state=state, log=plain_line)
    decoding = decoding_from(arguments, frozen)
    sides["shuffled"] = answered(frozen, trained, test, grading, decoding, KeptRows(kept), log=plain_line)
    # Training items may hold chains of thought, each of them another text.
    labels = label_targets([*dev, *test]) if grading.knows_strict else {}
    prompts, known = {"before": prompt.initial, "shuffled": trained.vectors}, None
    if labels:
        with Progress("likeliest labels", len(prompts) * len(test), plain_line) as at:
            known = likeliest(frozen, prompts, prompt.slot, test, labels, at.update)
    if arguments.answers:
        write_jsonl(arguments.answers, sides["shuffled"])
    for path in (state, kept_epochs(state), kept):
        path.unlink(missing_ok=True)
    paths = (arguments.train, arguments.dev, arguments.data)
    data = {"data_sha256": {path.name: sha256_of_file(path) for path in paths}}
    return split_gain(sides) | {"likeliest": known} | how | data | made_with(frozen, arguments.prompt_file)


def _graded(path: Path, wanted: list[str]) -> list[dict]:
    """The graded answers to the items, in their order."""
    from embedgrad.reporting.results.answers import read_graded

    rows = {row["id"]: row for row in read_graded(path, None)}
    if missing := [identity for identity in wanted if identity not in rows]:
        raise UserError(f"{path}: no answer to item {missing[0]}; answer the items of --data again.")
    return [rows[identity] for identity in wanted]
