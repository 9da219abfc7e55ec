r"""Find human words whose effect comes nearest to an optimised prompt's.

    embedgrad distil --prompt-file prompt.safetensors --data reviews.csv --out prompt.txt
    embedgrad distil --prompt-file prompt.safetensors --data reviews.csv --out prompt.txt \
        --test more_reviews.csv --report words.json

Candidates are the vectors' nearest tokens, swaps of tokens by gradient, and rewrites that the model or --rewriter proposes.
--report measures on --test: the text prompt, the optimised prompt, the words, and random words as long.
"""

import argparse
from typing import TYPE_CHECKING

from embedgrad.commands.arguments import load_from
from embedgrad.commands.checked import OutputFile, check_outputs, check_writable, output_file, text_of_file, whole
from embedgrad.commands.output import plain_line
from embedgrad.commands.prompts import add_prompt_arguments, needed_grading, prompt_from
from embedgrad.commands.splits import add_split_arguments, splits_from
from embedgrad_core.files import UserError, write_json, write_whole

if TYPE_CHECKING:
    from embedgrad_core import FrozenModel
    from embedgrad_core.files import Item

HELP = "find human words for an optimised prompt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The prompt and its model, data, the search, outputs."""
    add_prompt_arguments(parser)
    add_split_arguments(
        parser,
        "your own files, as for `embedgrad optimize --data`",
        data="items to search on",
        dev="items by which the words are chosen",
        required=True,
    )
    loop = parser.add_argument_group("search")
    loop.add_argument(
        "--budget", type=whole(1), default=2000, help="forward passes of one item; a gradient counts as three"
    )
    loop.add_argument("--ways", nargs="+", choices=["nearest", "gradient", "rewrite"], help="default: all three")
    loop.add_argument(
        "--fluency",
        type=float,
        default=0.1,
        help="weight of a text's surprise in nats per token, relative to the divergence of the prompt's own text; default: 0.1",
    )
    loop.add_argument("--answer-tokens", type=whole(1), default=16, help="of each answer that are compared")
    loop.add_argument("--batch-size", type=whole(1), default=8, help="items of a step by gradient")
    loop.add_argument("--candidates", type=whole(1), default=16, help="swaps that a step tries")
    loop.add_argument("--rewriter", metavar="MODEL", help="hub id or folder; default: the prompt's own model")
    loop.add_argument("--rewriter-revision", default="main", help="hub revision, best a commit sha")
    loop.add_argument("--seed", type=whole(0, 10**12), default=0)
    parser.add_argument("--out", required=True, type=output_file, help="the words, as a text file")
    parser.add_argument("--state", type=output_file, help="resume state; default: beside --out, removed at the end")
    parser.add_argument(
        "--report", type=output_file, help="JSON: the finalists, and what is left of the gain on --test"
    )


def run(arguments: argparse.Namespace) -> None:
    """Search, choose, write, read again, report."""
    if arguments.report and not arguments.test:
        raise UserError("--report needs items that nothing was made with; give --test FILE.")
    if arguments.test and not arguments.report:
        raise UserError("--test is for --report; leave it out, or name the report's file.")
    if not 0 <= arguments.fluency < float("inf"):
        raise UserError(f"--fluency is {arguments.fluency}; it must be 0 or a positive number.")
    state = arguments.state or OutputFile(arguments.out.with_suffix(".state"))
    scores = OutputFile(state.with_suffix(".scores.state"))
    for file in (state, scores):
        check_writable(file)
    check_outputs(arguments)
    grading = needed_grading(arguments, arguments.prompt_file)
    train, dev, test = splits_from(arguments, grading)
    from embedgrad.carry.distil import WAYS, Search, distil
    from embedgrad.carry.distilled import distil_report, distilled_lines
    from embedgrad.carry.words import read_as_scored
    from embedgrad.evaluation import unseen
    from embedgrad.runtime.provenance import made_with

    search = Search(
        arguments.budget,
        tuple(arguments.ways or WAYS),
        arguments.seed,
        arguments.fluency,
        arguments.answer_tokens,
        arguments.batch_size,
        arguments.candidates,
    )
    tuned = prompt_from(arguments)
    frozen, prompt = tuned.frozen, tuned.prompt
    if test:
        test = _apart(test if arguments.keep_seen else unseen(test, prompt), [*train, *dev])
    found = distil(
        *(frozen, prompt, train, dev, grading, tuned.decoding, search),
        rewriter=_rewriter(arguments),
        state=state,
        log=plain_line,
    )
    with write_whole(arguments.out) as temporary:
        temporary.write_bytes((found.slot.text + "\n").encode())
        again = text_of_file(str(temporary))
        read_as_scored(frozen, prompt.slot.layout, again, [*train, *dev], found.slot.prompt_ids)
    plain_line(
        f"{arguments.out}: {found.slot.k} tokens, by way of {found.way}, after {found.spent} of {search.budget} forward passes"
    )
    if not arguments.report:
        state.unlink(missing_ok=True)
        return
    report = distil_report(
        *(frozen, prompt, found.slot, test, grading, tuned.decoding),
        answer_tokens=search.answer_tokens,
        labels=[*train, *dev],
        seed=search.seed,
        state=scores,
        log=plain_line,
    )
    told = {
        "way": found.way,
        "finalists": [vars(one) for one in found.finalists],
        "spent": found.spent,
        "counts": found.counts,
    }
    told |= {"settings": {**vars(search), "rewriter": arguments.rewriter}}
    write_json(arguments.report, report | told | made_with(frozen, arguments.prompt_file))
    for file in (state, scores):  # only now is nothing left to resume
        file.unlink(missing_ok=True)
    for line in distilled_lines(report):
        plain_line(line)


def _apart(test: "list[Item]", used: "list[Item]") -> "list[Item]":
    """The test items that the words are not searched or chosen on.

    Raises:
        UserError: none is left.
    """
    from embedgrad.tasks.own.data import fingerprint

    seen = {fingerprint(item.input) for item in used}
    left = [item for item in test if fingerprint(item.input) not in seen]
    if not left:
        raise UserError("--test: every item is one of --data or --dev, where the words are found; give others.")
    return left


def _rewriter(arguments: argparse.Namespace) -> "FrozenModel | None":
    """The other model that is asked for rewrites, on the same device and in the same dtype."""
    if not arguments.rewriter:
        return None
    other = {"model": arguments.rewriter, "revision": arguments.rewriter_revision}
    return load_from(argparse.Namespace(**{**vars(arguments), **other, "sha256": None, "dequantised_from": None}))
