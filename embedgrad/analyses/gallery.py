"""What became of a prompt, position by position, for the gallery page: nearest tokens of vectors and moves, and the logit lens."""

from pathlib import Path

import torch

from embedgrad.analyses.words import pieces_of
from embedgrad_core import FrozenModel, PromptEmbedding
from embedgrad_core.anchoring import closest_tokens, randomly_displaced
from embedgrad_core.files import printable
from embedgrad_core.lens import depth, seen_from, some_layers


def gallery_entry(frozen: FrozenModel, prompt: PromptEmbedding, name: str, nearest: int = 4, layers: int = 8) -> dict:
    """One prompt as the page shows it.

    Args:
        frozen: its model.
        prompt: the optimised prompt.
        name: what the page calls it.
        nearest: tokens to show of each position.
        layers: of the logit lens at most.

    Returns:
        ``name``, ``model``, ``text``, ``layers`` (block numbers), ``same_lens`` (share of positions whose likeliest next token is
        the same before and after, at the last layer) and ``positions``: for each its ``piece`` of the text, ``drift``
        (‖v − e‖ / ‖e‖), ``near`` (tokens nearest to the vector), ``towards`` (nearest to its move v − e) and ``random`` (the
        largest cosine that a random move has with any token), and ``lens``: for each layer ``before`` and ``after``.
    """
    control = randomly_displaced(prompt, 0) - prompt.initial
    near, towards, random = (
        closest_tokens(frozen, vectors, count)
        for vectors, count in ((prompt.vectors, nearest), (prompt.vectors - prompt.initial, nearest), (control, 1))
    )
    shown = some_layers(depth(frozen), layers)
    lens = {
        "before": seen_from(frozen, prompt, prompt.initial, shown),
        "after": seen_from(frozen, prompt, prompt.vectors, shown),
    }

    def word(token: int) -> str:
        return visible(frozen.tokenizer.decode([int(token)]))

    def words(found: tuple[torch.Tensor, torch.Tensor], place: int) -> list[dict]:
        pairs = zip(found[0][place].tolist(), found[1][place].tolist(), strict=True)
        return [{"token": word(token), "cosine": cosine} for cosine, token in pairs]

    drift = prompt.drift
    positions = [
        {
            "piece": visible(piece),
            "drift": float(drift[place]),
            "near": words(near, place),
            "kept": int(near[1][place, 0]) == prompt.slot.prompt_ids[place],
            "towards": words(towards, place) if float(drift[place]) > 0 else [],
            "random": float(random[0][place, 0]) if float(drift[place]) > 0 else None,
            "lens": [
                {
                    side: {"token": word(seen.token[row, place]), "p": float(seen.p[row, place])}
                    for side, seen in lens.items()
                }
                for row in range(len(shown))
            ],
        }
        for place, piece in enumerate(pieces_of(prompt))
    ]
    same = (lens["before"].token[-1] == lens["after"].token[-1]).float().mean()
    model = frozen.name if not Path(frozen.name).is_dir() else Path(frozen.name).name
    text = printable(prompt.slot.text, keep="\n")
    return {
        "name": name,
        "model": model,
        "text": text,
        "layers": shown,
        "same_lens": float(same),
        "positions": positions,
    }


def visible(text: str) -> str:
    """A token's text in which every blank can be seen."""
    shown = "".join(one if one == " " or not one.isspace() else one.encode("unicode_escape").decode() for one in text)
    return printable(shown).replace(" ", "␣") or "∅"
