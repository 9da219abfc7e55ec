"""An optimised prompt word by word: its text cut at the tokens, and on a terminal how far each moved and what it is nearest to."""

from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from embedgrad_core import PromptEmbedding
from embedgrad_core.files import printable

SHADES = ("white", "yellow", "dark_orange", "red")


def pieces_of(prompt: PromptEmbedding) -> list[str]:
    """The prompt's text cut where its tokens end; a decoder drops the space of a token that stands alone."""
    ids, tokenizer = list(prompt.slot.prompt_ids), prompt.slot.tokenizer
    texts = [tokenizer.decode(ids[:end]) for end in range(len(ids) + 1)]
    return [long[len(short) :] if long.startswith(short) else long for short, long in pairwise(texts)]


def show(prompt: PromptEmbedding, analysis: dict, path: Path) -> None:
    """Print the prompt as one coloured line, then a row per token.

    Args:
        prompt: the optimised prompt.
        analysis: its :func:`embedgrad_core.anchoring.semantic_anchoring`.
        path: where it was read.
    """
    console = Console(soft_wrap=True, highlight=False)
    rows = analysis["positions"]
    largest = max(row["drift"] for row in rows) or 1.0
    shades = [SHADES[min(int(4 * row["drift"] / largest), 3)] for row in rows]
    line = Text()
    for piece, shade in zip(pieces_of(prompt), shades, strict=True):
        line.append(printable(piece, keep="\n\t"), style=shade)
    name = (prompt.header.get("model") or {}).get("name") or "an unnamed model"
    heading = f"{path}: {len(rows)} vectors for {name}, layout {prompt.slot.layout.kind}"
    console.print(printable(heading), markup=False)
    console.print(line)
    head = ("", "token", "drift", "", "cosine to itself", "rank", "nearest", "softmax p")
    table = Table(*head, box=None, pad_edge=False)
    for row, shade in zip(rows, shades, strict=True):
        cosine = row["after"]["cosine"]
        table.add_row(
            str(row["position"]),
            Text(repr(row["token"])),
            f"{row['drift']:.3f}",
            Text("█" * max(1, round(12 * row["drift"] / largest)), style=shade),
            f"{cosine['p']:.3f}",
            str(cosine["rank"]),
            Text(repr(cosine["nearest"])),
            f"{row['after']['softmax']['p']:.3g}",
        )
    console.print(table)
    summary = analysis["summary"]
    own, control = summary["nearest_token_unchanged"], summary["random"]["cosine"]["nearest_is_original"]
    unchanged = f"nearest token unchanged at {own} of {summary['positions']} positions"
    console.print(f"{unchanged}; after a random move as far at {control}", markup=False)
