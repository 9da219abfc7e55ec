"""Protocol recovery: what the text prompt scores under each protocol that the paper leaves open; nothing is trained.

Layout × token limit × stop rule × strictness. An item is decoded once a layout: an answer under a smaller limit or more
end tokens is the beginning of that answer.

    embedgrad recovery --model MODEL --prompt "…" --task mood --data test.jsonl --out recovery.json
"""

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from contracts import UserError, in_blocks, read_items, sha256_of_file, write_json
from embedgrad.commands.arguments import (
    add_decoding_arguments,
    add_grading_arguments,
    add_layout_arguments,
    add_model_arguments,
    add_shard_argument,
    decoding_from,
    layout_from,
    load_from,
    plain_line,
    shard_from,
)
from embedgrad.commands.checked import output_file, some_text

HELP = "the text prompt under each protocol that the paper leaves open"
STOP_RULES = ("family", "checkpoint")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt, items, the grid."""
    add_model_arguments(parser)
    parser.add_argument("--prompt", required=True, type=some_text, help="the human prompt, verbatim")
    add_layout_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="the items to answer")
    parser.add_argument("--limit-shares", default="0.25,0.5,1", help="token limits, as shares of --max-new-tokens")
    add_decoding_arguments(parser)
    add_shard_argument(parser)
    add_grading_arguments(parser)
    parser.add_argument(
        "--out", required=True, type=output_file, help="JSON: for each protocol n and right answers, by level"
    )


def run(arguments: argparse.Namespace) -> None:
    """Decode once a layout, cut and grade."""
    blocks = in_blocks(shard_from(arguments, read_items(arguments.data)), arguments.block)
    items = [item for block in blocks for item in block]
    shares = _shares(arguments.limit_shares)
    from embedgrad.grading import Grader, grader_from
    from embedgrad.progress import Progress
    from embedgrad.provenance import versions
    from embedgrad_core import PromptEmbedding, Slot
    from embedgrad_core.decode import check_lengths, to_decoded
    from embedgrad_core.greedy import Row, greedy
    from embedgrad_core.kernels import packed_weights

    named, frozen, layout = grader_from(arguments), load_from(arguments), layout_from(arguments)
    settings = decoding_from(arguments)
    most = settings["max_new_tokens"]
    stops = {rule: frozen.stop_ids(rule) for rule in STOP_RULES}
    graders = [Grader(named.evaluator, named.options, strict) for strict in (False, True)][: 1 + named.knows_strict]
    protocols = []
    for kind in ("bare", "chat") if frozen.tokenizer.chat_template else ("bare",):
        slot = Slot.place(frozen.tokenizer, replace(layout, kind=kind), arguments.prompt)
        vectors = PromptEmbedding.from_text(frozen, slot).initial
        bodies = {item.id: slot.body_ids(item.input) for item in items}
        check_lengths(frozen, slot, items, bodies, most)
        phase = Progress(f"protocol search, {kind} layout", len(items), plain_line)
        with packed_weights(frozen.network), phase as at:
            rows = [
                row
                for block in blocks
                for row in greedy(
                    frozen,
                    slot,
                    vectors,
                    [bodies[item.id] for item in block],
                    most,
                    stops["checkpoint"],
                    batch_size=settings["batch_size"],
                    on_end=lambda row: at.advance(),
                    on_step=at.under_way,
                    say=plain_line,
                )
            ]
        for rule, ends in stops.items():
            for share in shares:
                limit = max(1, round(most * share))
                cut = [_until(row.ids[:limit], ends) for row in rows]
                said = [
                    to_decoded(frozen, item, Row(place, ids, [0.0] * len(ids)), ends, settings["loop"]).row()
                    for place, (item, ids) in enumerate(zip(items, cut, strict=True))
                ]
                for grader in graders:
                    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
                    for item, row in zip(items, said, strict=True):
                        right = grader.line(row, item.answer)["correct"]
                        for level in {"", item.level or ""}:
                            counts[level][0] += right
                            counts[level][1] += 1
                    protocol = {"layout": kind, "limit_share": share, "stop_rule": rule, "strict": grader.strict}
                    levels = {level: {"correct": one[0], "n": one[1]} for level, one in sorted(counts.items())}
                    protocols.append({"protocol": protocol, "levels": levels})
    own = {
        "layout": layout.kind,
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


def _until(ids: list[int], ends: tuple[int, ...]) -> list[int]:
    """The ids up to the first end token, that included."""
    place = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    return ids[: place + 1]
