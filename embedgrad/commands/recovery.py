"""Protocol recovery: what the text prompt scores under each protocol that the paper leaves open; nothing is trained.

Layout × token limit × stop rule × strictness. An item is decoded once a layout: an answer under a smaller limit or more
end tokens is the beginning of that answer.

    embedgrad recovery --model MODEL --prompt "…" --task mood --data test.jsonl --out recovery.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_kept_argument,
    add_layout_arguments,
    add_model_arguments,
    add_shard_argument,
    plain_line,
    shard_from,
)
from embedgrad.commands.checked import output_file, some_text
from embedgrad.commands.ladder import counted, text_answers
from embedgrad.files import read_items
from embedgrad_core.files import UserError, sha256_of_file, write_json

HELP = "the text prompt under each protocol that the paper leaves open"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt, items, the grid."""
    add_model_arguments(parser)
    parser.add_argument("--prompt", required=True, type=some_text, help="the human prompt, verbatim")
    add_layout_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="the items to answer")
    parser.add_argument("--limit-shares", default="0.25,0.5,1", help="token limits, as shares of --max-new-tokens")
    add_decoding_arguments(parser)
    add_shard_argument(parser)
    add_kept_argument(parser)
    add_grading_arguments(parser)
    parser.add_argument(
        "--out", required=True, type=output_file, help="JSON: for each protocol n and right answers, by level"
    )


def run(arguments: argparse.Namespace) -> None:
    """Decode once a layout, cut and grade."""
    items = shard_from(arguments, read_items(arguments.data))
    shares = _shares(arguments.limit_shares)
    from embedgrad.analyses.text_answers import STOP_RULES, until
    from embedgrad.grading import Grader, grader_from
    from embedgrad.runtime.progress import Progress
    from embedgrad.runtime.provenance import versions
    from embedgrad_core.decoding.answers import to_decoded

    named, texts = grader_from(arguments), text_answers(arguments)
    frozen, settings = texts.frozen, texts.settings
    most = settings["max_new_tokens"]
    stops = {rule: frozen.stop_ids(rule) for rule in STOP_RULES}
    graders = [Grader(named.evaluator, named.options, strict) for strict in (False, True)][: 1 + named.knows_strict]
    protocols = []
    for kind in texts.kinds:
        with Progress(f"protocol search, {kind} layout", len(items), plain_line) as at:
            rows = texts.rows(kind, items, say=plain_line, **at.decoding)
        for rule, ends in stops.items():
            for share in shares:
                limit = max(1, round(most * share))
                said = [
                    to_decoded(frozen, item, until(row, ends, limit), ends, settings["loop"]).row()
                    for item, row in rows
                ]
                for grader in graders:
                    lines = [grader.line(row, item.answer) for (item, _), row in zip(rows, said, strict=True)]
                    found = counted([item for item, _ in rows], lines)
                    levels = {"": {key: found[key] for key in ("correct", "n")}, **found["levels"]}
                    protocol = {"layout": kind, "limit_share": share, "stop_rule": rule, "strict": grader.strict}
                    protocols.append({"protocol": protocol, "levels": levels})
    own = {
        "layout": texts.layout.kind,
        "limit_share": 1.0,
        "stop_rule": settings["stop_rule"],
        "strict": named.strict and named.knows_strict,
    }
    more = {"model": frozen.identity(), "versions": versions()}
    more["data_sha256"] = {arguments.data.name: sha256_of_file(arguments.data)}
    write_json(arguments.out, {"protocols": protocols, "own": own, **more})
    plain_line(f"{arguments.out}: {len(protocols)} protocols on {len(items)} items")


def _shares(text: str) -> list[float]:
    try:
        shares = sorted(float(share) for share in text.split(","))
    except ValueError:
        raise UserError(f"--limit-shares is {text!r}; give numbers like 0.25,0.5,1.") from None
    if not shares or shares[0] <= 0 or shares[-1] != 1:
        raise UserError(f"--limit-shares is {text!r}; give shares above 0, the last of them 1.")
    return shares
