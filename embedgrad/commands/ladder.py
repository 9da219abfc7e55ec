"""What the gain stands beside: the same items answered in ways that train nothing (embedgrad/analyses/rungs.py).

Each rung answers dev, on which the best one is chosen, and the items of --data. A rung that needs a chat template, a closed
set of labels or a rewrite is left out where there is none.

    embedgrad ladder --model MODEL --prompt "…" --task mood --data test.jsonl --dev dev.jsonl --train train.jsonl --out ladder.json
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_kept_argument,
    add_layout_arguments,
    add_model_arguments,
    add_shard_argument,
    decoding_from,
    kept_from,
    layout_from,
    load_from,
    plain_line,
    shard_from,
)
from embedgrad.commands.checked import output_file, some_text
from embedgrad.files import read_items
from embedgrad.planning.demand import EXAMPLES
from embedgrad_core.files import Item, UserError, sha256_of_file, write_json, write_jsonl

if TYPE_CHECKING:
    from embedgrad.analyses.text_answers import TextAnswers
    from embedgrad.grading import Grader

HELP = "baselines of a task: no prompt, bare, chat, a rewrite, examples, label likelihood, the commonest answer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt, items, outputs."""
    add_model_arguments(parser)
    parser.add_argument("--prompt", required=True, type=some_text, help="the human prompt, verbatim")
    parser.add_argument("--rewrite", type=some_text, help="another wording of it, as a rung of its own")
    add_layout_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="the items to answer")
    parser.add_argument("--dev", type=Path, help="the items on which the best rung is chosen")
    parser.add_argument("--train", required=True, type=Path, help="where the examples come from")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="examples of few_shot")
    add_decoding_arguments(parser)
    add_shard_argument(parser)
    add_kept_argument(parser)
    add_grading_arguments(parser)
    parser.add_argument("--answers", type=output_file, help="JSON lines: every rung's graded answers")
    parser.add_argument(
        "--out", required=True, type=output_file, help="JSON: for each rung n and right answers, by level too"
    )


def run(arguments: argparse.Namespace) -> None:
    """Answer and grade rung by rung."""
    splits = {"test": shard_from(arguments, read_items(arguments.data))}
    if arguments.dev:
        splits["dev"] = shard_from(arguments, read_items(arguments.dev))
    train = read_items(arguments.train)
    from embedgrad.analyses.rungs import rungs
    from embedgrad.grading import grader_from
    from embedgrad.runtime.progress import Progress
    from embedgrad.runtime.provenance import versions

    grader, texts = grader_from(arguments), text_answers(arguments)
    found, lines = {}, []
    for rung in rungs(texts, train, grader, rewrite=arguments.rewrite, examples=arguments.examples):
        graded = {}
        try:
            for split, items in splits.items():
                with Progress(f"ladder, {rung.name}, {split}", len(items), plain_line) as at:
                    graded[split] = graded_answers(items, rung.answer(items, say=plain_line, **at.decoding), grader)
        except UserError as error:
            found[rung.name] = {"left_out": str(error)}  # the examples may not fit a short context; the other rungs do
            plain_line(f"{rung.name}: left out, {error}")
            continue
        found[rung.name] = counted(splits["test"], graded["test"])
        if "dev" in splits:
            found[rung.name]["dev"] = counted(splits["dev"], graded["dev"])
        lines += [{"rung": rung.name, "split": split, **line} for split in splits for line in graded[split]]
        plain_line(f"{rung.name}: {found[rung.name]['correct']} of {len(splits['test'])}")
    decoding = {**texts.settings, "loop": asdict(texts.settings["loop"])}
    paths = [path for path in (arguments.data, arguments.dev, arguments.train) if path]
    data = {path.name: sha256_of_file(path) for path in paths}
    more = {"model": texts.frozen.identity(), "decoding": decoding, "versions": versions(), "data_sha256": data}
    if arguments.answers:
        write_jsonl(arguments.answers, lines)
    write_json(arguments.out, {"rungs": found, **more})


def text_answers(arguments: argparse.Namespace) -> "TextAnswers":
    """The text prompt's answers, one place for the ladder and the protocol search of a process."""
    from embedgrad.analyses.text_answers import TextAnswers

    if getattr(arguments, "texts", None) is None:
        frozen, layout = load_from(arguments), layout_from(arguments)
        settings, kept = decoding_from(arguments, frozen), kept_from(arguments)
        arguments.texts = TextAnswers(frozen, layout, arguments.prompt, settings, kept)
    return arguments.texts


def graded_answers(items: Sequence[Item], answers: Iterable, grader: "Grader") -> list[dict]:
    """A graded line an item, in the order of ``items``."""
    said = {row.id: row for row in answers}
    return [grader.line(said[item.id].row(), item.answer) for item in items]


def counted(items: Sequence[Item], lines: Sequence[dict]) -> dict:
    """Right answers and items, by level too, and which items are right."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for item, line in zip(items, lines, strict=True):
        for level in {"", item.level or ""}:
            counts[level][0] += line["correct"]
            counts[level][1] += 1
    right, n = counts.pop("", (0, 0))
    levels = {level: {"correct": row[0], "n": row[1]} for level, row in sorted(counts.items())}
    return {
        "correct": right,
        "n": n,
        "levels": levels,
        "right": sorted(line["id"] for line in lines if line["correct"]),
    }
