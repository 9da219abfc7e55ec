"""A model's own right chains of thought on training items, as targets to train on (target: own_chain).

embedgrad chains --model MODEL --prompt "…" --task imdb --data train.jsonl --out train.own_chain.jsonl --report chains.json
"""

import argparse

from embedgrad.commands.arguments import decoding_from, kept_from, layout_from, load_from
from embedgrad.commands.baselines import add_text_prompt_arguments
from embedgrad.commands.checked import output_file
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items
from embedgrad_core.files import UserError, sha256_of_file, write_json, write_jsonl

HELP = "the model's own right chains of thought as targets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt, training items, outputs."""
    add_text_prompt_arguments(parser)
    parser.add_argument("--out", required=True, type=output_file, help="JSON lines: the items that have a right chain")
    parser.add_argument("--report", required=True, type=output_file, help="JSON: how many items have one, by answer")


def run(arguments: argparse.Namespace) -> None:
    """Answer, grade, keep what is right."""
    if arguments.shard:
        raise UserError("--shard: chains are of all training items together; leave it out.")
    items = read_items(arguments.data)
    from embedgrad.analyses.chains import own_chains
    from embedgrad.grading import grading_from
    from embedgrad.runtime.provenance import made_with

    grading, frozen = grading_from(arguments), load_from(arguments)
    decoding = decoding_from(arguments, frozen)
    layout, kept = layout_from(arguments), kept_from(arguments)
    found, counts = own_chains(frozen, layout, arguments.prompt, items, grading, decoding, kept=kept, log=plain_line)
    write_jsonl(arguments.out, [item.row() for item in found])
    hashes = {path.name: sha256_of_file(path) for path in (arguments.data, arguments.out)}
    write_json(arguments.report, counts | {"decoding": decoding.row(), "data_sha256": hashes} | made_with(frozen))
    if arguments.state:  # all is written
        arguments.state.unlink(missing_ok=True)
    plain_line(f"{arguments.out}: {counts['kept']} of {counts['items']} training items have a right chain")
