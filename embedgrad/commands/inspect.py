"""What an optimised prompt has become: how far each of its words moved, and which words it stands nearest to.

embedgrad inspect prompt.safetensors --png drift.png
embedgrad inspect prompt.safetensors --json > anchoring.json
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from embedgrad.commands.arguments import add_model_arguments, plain_line, silent
from embedgrad.commands.checked import figure_file
from embedgrad.commands.prompts import model_of
from embedgrad_core.files import printable

if TYPE_CHECKING:
    from embedgrad_core import PromptEmbedding

HELP = "drift and anchoring of a prompt, word by word"
SHADES = ("white", "yellow", "dark_orange", "red")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file, its model, outputs."""
    parser.add_argument("prompt_file", type=Path, help="an optimised prompt")
    add_model_arguments(parser, required=False)
    parser.add_argument("--png", type=figure_file, help="the drift of each word as a picture")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Measure and show."""
    from embedgrad_core import PromptEmbedding
    from embedgrad_core.anchoring import anchoring_report

    arguments.say = silent
    frozen = model_of(arguments, arguments.prompt_file)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    report = anchoring_report(frozen, prompt)
    if arguments.png:
        from embedgrad.reporting.figures.drawing import save
        from embedgrad.reporting.figures.drift import drift

        save(
            drift(pieces_of(prompt), [row["drift"] for row in report["positions"]]),
            arguments.png,
        )
    if arguments.json:
        plain_line(json.dumps({**report, "header": prompt.header}, sort_keys=True))
        return
    _show(prompt, report, arguments.prompt_file)
    if arguments.png:
        plain_line(f"{arguments.png}: drift by word")


def pieces_of(prompt: "PromptEmbedding") -> list[str]:
    """The prompt's text cut where its tokens end; a decoder drops the space of a token that stands alone."""
    ids, tokenizer = list(prompt.slot.prompt_ids), prompt.slot.tokenizer
    texts = [tokenizer.decode(ids[:end]) for end in range(len(ids) + 1)]
    return [long[len(short) :] if long.startswith(short) else long for short, long in pairwise(texts)]


def _show(prompt: "PromptEmbedding", report: dict, path: Path) -> None:
    """The prompt as one coloured line, then a row a token."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    rows = report["positions"]
    pieces = pieces_of(prompt)
    largest = max(row["drift"] for row in rows) or 1.0
    line = Text()
    for row, piece in zip(rows, pieces, strict=True):
        line.append(printable(piece, keep="\n\t"), style=SHADES[min(int(4 * row["drift"] / largest), 3)])
    name = (prompt.header.get("model") or {}).get("name") or "an unnamed model"
    made_for = f"{len(rows)} vectors for {name}, layout {prompt.slot.layout.kind}"
    console.print(printable(f"{path}: {made_for}"), markup=False)
    console.print(line)
    table = Table(
        "", "token", "drift", "", "cosine to itself", "rank", "nearest", "softmax p", box=None, pad_edge=False
    )
    for row in rows:
        after = row["after"]
        table.add_row(
            str(row["position"]),
            Text(repr(row["token"])),
            f"{row['drift']:.3f}",
            Text(
                "█" * max(1, round(12 * row["drift"] / largest)), style=SHADES[min(int(4 * row["drift"] / largest), 3)]
            ),
            f"{after['cosine']['p']:.3f}",
            str(after["cosine"]["rank"]),
            Text(repr(after["cosine"]["nearest"])),
            f"{after['softmax']['p']:.3g}",
        )
    console.print(table)
    summary = report["summary"]
    own, control = summary["nearest_token_unchanged"], summary["random"]["cosine"]["nearest_is_original"]
    told = (
        f"nearest token unchanged at {own} of {summary['positions']} positions; after a random move as far at {control}"
    )
    console.print(told, markup=False)
