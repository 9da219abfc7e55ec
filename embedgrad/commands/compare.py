"""Two optimised prompts of one model side by side: how alike their vectors are and, with --data, how alike their answers.

Both are decoded and checked as the first one's file says. Items that either was trained on are left out and counted;
--keep-seen takes them in.

embedgrad compare seed0.safetensors seed1.safetensors
embedgrad compare a.safetensors b.safetensors --data test.csv --json
"""

import argparse
import json
from pathlib import Path

from embedgrad.commands.arguments import add_own_data_arguments, own_items_from
from embedgrad.commands.output import aside, plain_line
from embedgrad.commands.prompts import add_prompt_arguments, needed_grading, prompt_from
from embedgrad_core.files import UserError

HELP = "two prompts of one model side by side"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two prompt files; data to ask both."""
    parser.add_argument("a", type=Path, help="a prompt file")
    parser.add_argument("b", type=Path, help="another one for the same model")
    add_prompt_arguments(parser, file=False)
    data = parser.add_argument_group("data")
    data.add_argument("--keep-seen", action="store_true", help="count items that one of them was trained on, too")
    data.add_argument("--data", help="answer these with both: a .jsonl, .csv or .tsv file or a hub data set")
    add_own_data_arguments(data)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> None:
    """Compare vectors, then answers."""
    from embedgrad.analyses.comparison import compared_answers, compared_vectors
    from embedgrad.api import load

    items = []
    if arguments.data:  # the data first: a bad line is reported before a model is loaded
        items = own_items_from(arguments, arguments.data, needed_grading(arguments, arguments.a))
    elif arguments.keep_seen:
        raise UserError("--keep-seen is about the items of --data; give both or neither.")
    a = prompt_from(arguments, arguments.a)
    b = load(arguments.b, a.frozen)
    found: dict = {"a": str(arguments.a), "b": str(arguments.b), "vectors": compared_vectors(a.prompt, b.prompt)}
    if items:
        found["answers"] = compared_answers(a, b, items, keep_seen=arguments.keep_seen, log=aside)
    if arguments.json:
        plain_line(json.dumps(found, sort_keys=True))
        return
    vectors = found["vectors"]
    for side, slot in (("a", a.prompt.slot), ("b", b.prompt.slot)):
        plain_line(f"{side}: {slot.k} vectors, mean drift {vectors['mean_drift'][side]:.3g}; text {slot.text!r}")
    for key in vectors["settings"]:
        plain_line(f"{key}: a {vectors['settings'][key]['a']}, b {vectors['settings'][key]['b']}")
    if vectors["move_cosine"] is None:
        plain_line("the texts differ: vectors are not compared position by position")
    else:
        plain_line(
            f"mean cosine of the vectors {vectors['vector_cosine']:.3f}, of their moves {vectors['move_cosine']:.3f}"
        )
    if "answers" in found:
        row = found["answers"]
        plain_line(
            f"{row['n']} items: a right on {row['a']}, b on {row['b']}; b - a {row['points']:+.1f} points "
            f"[{row['interval'][0]:+.1f}, {row['interval'][1]:+.1f}], exact McNemar p = {row['p']:.2g}; "
            f"{row['same_text']} answers are the same text"
        )
        left = f"; {row['left_out']} items that one of them was trained on are left out" if row["left_out"] else ""
        limits = ", ".join(f"{key} {row['decoding'][key]}" for key in ("max_new_tokens", "stop_rule"))
        other = "" if row["used_alike"] else "; b's own file says otherwise"
        plain_line(f"both checked by {row['grading']['evaluator']} under {limits}, as a is used{other}{left}")
