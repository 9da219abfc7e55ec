"""``embedgrad rival cost``: how long a fitted method makes an answer wait, beside the text prompt."""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import add_model_arguments, load_from
from embedgrad.commands.checked import output_file, whole
from embedgrad.commands.output import plain_line
from embedgrad.files import read_items
from embedgrad.rivals.rival import Measure
from embedgrad_core.files import sha256_of_file, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments; how much is measured has the workflow's own numbers as defaults."""
    usual = Measure()
    parser.add_argument("--fitted", required=True, type=Path, help="what `embedgrad rival fit` wrote")
    add_model_arguments(parser)
    parser.add_argument("--data", required=True, type=Path, help="JSON lines: id, input, target, answer, level")
    parser.add_argument("--level", help="only the items of this level")
    parser.add_argument("--repeats", type=whole(1), default=usual.repeats, help="how often each item is answered")
    parser.add_argument("--items", type=whole(1), default=usual.items, help="how many, spread over the inputs' lengths")
    parser.add_argument(
        "--tokens", type=whole(2), default=usual.tokens, help="of every answer, whatever ends it otherwise"
    )
    parser.add_argument("--out", required=True, type=output_file, help="JSON: milliseconds, ratios and their quartiles")


def run(arguments: argparse.Namespace) -> None:
    """Measure and write."""
    items = read_items(arguments.data, arguments.level)
    from embedgrad.rivals.artefact import Artefact, rival_of
    from embedgrad.rivals.environment import in_own_environment
    from embedgrad.rivals.latency import latency
    from embedgrad.runtime.provenance import Run

    clock = Run()
    rival = rival_of(arguments.fitted)
    in_own_environment(rival)
    frozen = load_from(arguments)
    quantisation = rival.settings.get("quantisation")
    quantised = load_from(arguments, quantisation) if quantisation else None
    artefact = Artefact.load(arguments.fitted, quantised or frozen)
    spec = Measure(arguments.repeats, arguments.items, arguments.tokens)
    found = latency(frozen, artefact, items, spec, quantised=quantised, log=plain_line)
    row = clock.row(
        frozen,
        rival=rival.name,
        fitted_sha256=sha256_of_file(arguments.fitted),
        data_sha256={arguments.data.name: sha256_of_file(arguments.data)},
        **found,
    )
    write_json(arguments.out, row)
    plain_line(
        f"{arguments.out}: {rival.name}, first token {found['first_token_ms']:.1f} ms, {found['first_token_ratio']:.2f} times the "
        f"text prompt's; a token {found['token_ms']:.1f} ms, {found['token_ratio']:.2f} times"
    )
