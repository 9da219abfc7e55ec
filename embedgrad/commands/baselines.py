"""Ladder and protocol recovery of one task and model in one process; neither needs an optimised prompt.

embedgrad baselines --model MODEL --prompt "…" --task mood --data test.jsonl --train train.jsonl \
    --ladder ladder.json --recovery recovery.json
"""

import argparse
import random
from pathlib import Path

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
from embedgrad.commands.checked import output_file, some_text
from embedgrad.commands.output import plain_line, silent
from embedgrad.files import read_items
from embedgrad.planning.demand import EXAMPLES, SEARCHED
from embedgrad.planning.work import AXES
from embedgrad.tasks.editions import read_edition
from embedgrad_core.files import UserError, sha256_of_file, write_json, write_jsonl

HELP = "ladder and protocol recovery at once"
SHARES = "0.25,0.5,1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What both share."""
    add_text_prompt_arguments(parser)
    add_ladder_arguments(parser)
    add_recovery_arguments(parser)
    parser.set_defaults(examples=EXAMPLES, limit_shares=SHARES)
    parser.add_argument("--ladder", required=True, type=output_file, help="JSON")
    parser.add_argument("--recovery", required=True, type=output_file, help="JSON")


def add_text_prompt_arguments(parser: argparse.ArgumentParser) -> None:
    """Of all baselines: model, text prompt, items, how answers are decoded and checked."""
    add_model_arguments(parser)
    parser.add_argument("--prompt", required=True, type=some_text, help="the human prompt, verbatim")
    add_layout_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="the items to answer")
    add_decoding_arguments(parser)
    add_part_arguments(parser)
    add_grading_arguments(parser)


def add_recovery_arguments(parser: argparse.ArgumentParser) -> None:
    """Of the protocol search alone."""
    parser.add_argument(
        "--axes", default="", help=f"choices that cost decodings of their own, of {','.join(AXES)}; default: none"
    )
    parser.add_argument("--edition", type=Path, help="JSON of embedgrad editions: the data set's other edition")


def add_ladder_arguments(parser: argparse.ArgumentParser) -> None:
    """Of the ladder alone."""
    parser.add_argument("--rewrite", type=some_text, help="another wording of the prompt, as a rung of its own")
    parser.add_argument("--dev", type=Path, help="the items on which the ladder's best rung is chosen")
    parser.add_argument("--train", required=True, type=Path, help="where the ladder's examples come from")
    parser.add_argument("--answers", type=output_file, help="JSON lines: every rung's graded answers")


def run(arguments: argparse.Namespace) -> None:
    """One after the other; the model is loaded once, and the text prompt's answers are shared."""
    answer(arguments, arguments.ladder, arguments.recovery)
    if arguments.state:  # all is written
        arguments.state.unlink(missing_ok=True)


def answer(arguments: argparse.Namespace, ladder_file: Path | None, recovery_file: Path | None) -> None:
    """Answer, grade and write what is wanted of the two."""
    items = shard_from(arguments, read_items(arguments.data))
    parts, searched = [items], [arguments.data]
    if ladder_file:
        dev = shard_from(arguments, read_items(arguments.dev)) if arguments.dev else None
        train = read_items(arguments.train)
        # Nothing is chosen on test: protocols are searched on items of the other half.
        some = sorted(random.Random(0).sample(train, min(SEARCHED, len(train))), key=lambda item: item.id)
        parts, searched = [shard_from(arguments, some), dev or []], [arguments.train, arguments.dev]
    shares, axes, edition = [], [], None
    if recovery_file:
        shares, axes = _shares(arguments.limit_shares), [axis for axis in arguments.axes.split(",") if axis]
        edition = read_edition(arguments.edition) if arguments.edition else None
        searched.append(arguments.edition)
    from embedgrad.analyses.baselines.ladder import ladder
    from embedgrad.analyses.baselines.protocols import protocol_grid
    from embedgrad.analyses.baselines.rungs import rungs
    from embedgrad.analyses.baselines.text_answers import TextAnswers
    from embedgrad.analyses.baselines.variants import variants
    from embedgrad.grading import grading_from
    from embedgrad.runtime.provenance import made_with
    from embedgrad_core.decoding.together import gains

    grading, frozen, layout = grading_from(arguments), load_from(arguments), layout_from(arguments)
    decoding = decoding_from(arguments, frozen)
    texts = TextAnswers(frozen, layout, arguments.prompt, decoding, kept_from(arguments))
    more = {"rewrite": arguments.rewrite, "examples": arguments.examples} if ladder_file else {}
    if gains(frozen, decoding) and not arguments.shard:  # a shard's answers must not depend on what else it holds
        ladders = rungs(texts, train, grading, **more) if ladder_file else ()
        asked = [rung.asks([*items, *(dev or [])]) for rung in ladders if rung.asks]
        found = variants(texts, axes, edition, silent)[0] if recovery_file else []
        free = [variant for variant in found if variant.penalty is None]
        texts.ahead([*asked, *(texts.asked(one.layout, one.shown(part)) for one in free for part in parts)], plain_line)
    if ladder_file:
        counts, lines = ladder(texts, items, train, grading, dev=dev, **more, log=plain_line)
        if arguments.answers:
            write_jsonl(arguments.answers, lines)
        paths = [path for path in (arguments.data, arguments.dev, arguments.train) if path]
        hashes = {path.name: sha256_of_file(path) for path in paths}
        write_json(
            ladder_file, {"rungs": counts, "decoding": decoding.row(), "data_sha256": hashes} | made_with(frozen)
        )
    if recovery_file:
        grid = protocol_grid(texts, parts, grading, shares, axes=axes, edition=edition, log=plain_line)
        hashes = {path.name: sha256_of_file(path) for path in searched if path}
        write_json(recovery_file, grid | {"data_sha256": hashes} | made_with(frozen))
        plain_line(f"{recovery_file}: {len(grid['protocols'])} protocols on {sum(map(len, parts))} items")


def _shares(text: str) -> list[float]:
    try:
        shares = sorted(float(share) for share in text.split(","))
    except ValueError:
        raise UserError(f"--limit-shares is {text!r}; give numbers like 0.25,0.5,1.") from None
    if not shares or shares[0] <= 0 or shares[-1] != 1:
        raise UserError(f"--limit-shares is {text!r}; give shares above 0, the last of them 1.")
    return shares
