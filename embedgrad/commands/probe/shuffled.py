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
from embedgrad.commands.checked import OutputFile, output_file, whole
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
    parser.add_argument(
        "--dealings", type=whole(1), default=1, help="how often targets are dealt, each time trained anew"
    )
    parser.add_argument(
        "--answers", type=output_file, help="JSON lines: the graded answers after shuffled targets, with their dealing"
    )
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
    before, after = (_graded(path, [item.id for item in test]) for path in (arguments.before, arguments.after))
    grading, frozen = grading_from(arguments), load_from(arguments)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    decoding = decoding_from(arguments, frozen)
    state = arguments.state or OutputFile(arguments.out.with_suffix(".state"))
    dealt, answers, trained = [], [], {}
    states: list[Path] = []
    for dealing in range(arguments.dealings):
        if arguments.dealings > 1:
            plain_line(f"dealing {dealing + 1} of {arguments.dealings}")
        at = state.with_suffix(f".{dealing}.state")
        kept = at.with_suffix(".answers.state")
        states += [at, kept_epochs(at), kept]
        shuffled, how = train_shuffled(
            frozen, prompt, train, dev, grading.knows_strict, dealing=dealing, state=at, log=plain_line
        )
        answers.append(answered(frozen, shuffled, test, grading, decoding, KeptRows(kept), log=plain_line))
        trained[f"dealing {dealing}"] = shuffled.vectors
        dealt.append(how)
    # Training items may hold chains of thought, each of them another text.
    labels = label_targets([*dev, *test]) if grading.knows_strict else {}
    prompts, known = {"before": prompt.initial, **trained}, None
    if labels:
        with Progress("likeliest labels", len(prompts) * len(test), plain_line) as progress:
            known = likeliest(frozen, prompts, prompt.slot, test, labels, progress.update)
    if arguments.answers:
        lines = enumerate(answers)
        write_jsonl(arguments.answers, [{"dealing": dealing} | row for dealing, rows in lines for row in rows])
    for path in states:
        path.unlink(missing_ok=True)
    paths = (arguments.train, arguments.dev, arguments.data)
    data = {"data_sha256": {path.name: sha256_of_file(path) for path in paths}}
    split = split_gain(before, answers, after)
    for one, how, name in zip(split["dealings"], dealt, trained, strict=True):
        one |= {"dealt": how["dealt"], "likeliest": known[name] if known else None}
    made = {key: dealt[0][key] for key in ("epochs", "seed")} | {"likeliest_before": known["before"] if known else None}
    return split | made | data | made_with(frozen, arguments.prompt_file)


def _graded(path: Path, wanted: list[str]) -> list[dict]:
    """The graded answers to the items, in their order."""
    from embedgrad.reporting.results.answers import read_graded

    rows = {row["id"]: row for row in read_graded(path, None)}
    if missing := [identity for identity in wanted if identity not in rows]:
        raise UserError(f"{path}: no answer to item {missing[0]}; answer the items of --data again.")
    return [rows[identity] for identity in wanted]
