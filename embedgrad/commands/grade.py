"""Grade decoded answers against a split: what was extracted, whether it is right, how it failed.

embedgrad grade --task math500 --data test.jsonl --outputs after.outputs.jsonl --out after.jsonl
"""

import argparse
from collections import Counter
from pathlib import Path

from embedgrad.commands.arguments import add_grading_arguments
from embedgrad.commands.checked import output_file
from embedgrad.commands.output import plain_line
from embedgrad.files import read_decoded, read_items
from embedgrad_core.files import UserError, write_jsonl

HELP = "check decoded answers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Answers, gold, evaluator."""
    parser.add_argument("--data", required=True, type=Path, help="the split that was answered")
    parser.add_argument("--outputs", required=True, type=Path, help="what `embedgrad decode` wrote")
    parser.add_argument("--out", required=True, type=output_file, help="JSON lines with extracted, correct, failure")
    add_grading_arguments(parser)
    parser.add_argument(
        "--with",
        dest="others",
        metavar="NAMES",
        help="boxed maths: also ask math_verify, minerva, hendrycks (comma-separated) and list where they disagree",
    )
    parser.add_argument("--disagreements", type=output_file, help="with --with: JSON lines of the disagreements")


def run(arguments: argparse.Namespace) -> None:
    """Grade line by line."""
    from embedgrad.grading import check_answers, grading_from

    grading = grading_from(arguments)
    items = read_items(arguments.data)
    check_answers(items, grading)
    gold = {item.id: item.answer for item in items}
    rows = read_decoded(arguments.outputs)
    lines: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if row["id"] not in gold:
            raise UserError(f"{arguments.outputs}:{number}: item {row['id']!r} is not in {arguments.data}.")
        if row["id"] in lines:
            raise UserError(
                f"{arguments.outputs}:{number}: item {row['id']!r} is answered in line {lines[row['id']]} too and would "
                "count twice; keep one of the lines."
            )
        lines[row["id"]] = number
    graded = [grading.line(row, gold[row["id"]]) for row in rows]
    write_jsonl(arguments.out, graded)
    if arguments.others:
        _cross_check(arguments, grading.evaluator, rows, gold)
    counts = Counter(row["failure"] for row in graded)
    kinds = ", ".join(f"{name} {count}" for name, count in counts.most_common() if name != "none")
    plain_line(f"{arguments.out}: {counts['none']} of {len(graded)} correct" + (f"; {kinds}" if kinds else ""))
    if missing := [identity for identity in gold if identity not in lines]:
        plain_line(
            f"warning: {len(missing)} of {len(gold)} items of {arguments.data} have no answer, {missing[0]} first; "
            "they count neither as right nor as wrong"
        )


def _cross_check(arguments: argparse.Namespace, evaluator: str, rows: list[dict], gold: dict[str, str]) -> None:
    """Ask other evaluators too; says how often each disagrees and writes down where."""
    from evaluators.cross_check import OTHERS, cross_check

    names = [name.strip() for name in arguments.others.split(",")]
    unknown = [name for name in names if name not in OTHERS]
    if evaluator != "boxed_math" or unknown:
        wrong = f"{unknown[0]!r} is not known" if unknown else f"the evaluator is {evaluator}"
        raise UserError(f"--with: {wrong}; it takes {', '.join(OTHERS)}, and boxed_math answers only.")
    verdicts = cross_check([(row["output"], gold[row["id"]]) for row in rows], names)
    differing = [
        {"id": row["id"], "gold": gold[row["id"]], "output": row["output"], **found}
        for row, found in zip(rows, verdicts, strict=True)
        if len(set(found.values())) > 1
    ]
    for name in names:
        count = sum(found[name] != found["boxed_math"] for found in verdicts)
        plain_line(f"{name} disagrees on {count} of {len(rows)}")
    if arguments.disagreements:
        write_jsonl(arguments.disagreements, differing)
