"""What a carried prompt is worth on its new model, beside what would refute it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from embedgrad.carry.compared import compared, contrast, item_rows, mean_of
from embedgrad.carry.scores import Scores, kept_scores, scores_of
from embedgrad.carry.transfer import Carried
from embedgrad.grading import Grading
from embedgrad_core import Decoding, FrozenModel, PromptEmbedding
from embedgrad_core.anchoring import randomly_displaced
from embedgrad_core.files import Item, UserError

ARMS = ("text", "optimised", "transferred", "random", "transferred_steps", "scratch_steps")
# What would refute that a displacement means something elsewhere, or that it is a better start there.
CONTRASTS = (("transferred", "random"), ("transferred_steps", "scratch_steps"), ("transferred_steps", "transferred"))


def transfer_report(
    target: FrozenModel,
    carried: Carried,
    test: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    *,
    further: PromptEmbedding | None = None,
    scratch: PromptEmbedding | None = None,
    own: PromptEmbedding | None = None,
    controls: int = 3,
    labels: Sequence[Item] = (),
    state: Path | None = None,
    log: Callable[[str], None] = print,
) -> dict:
    """Measure a carried prompt on its new model.

    Args:
        carried: the prompt as it was carried over.
        test: items that none of the prompts was trained on.
        further: the carried prompt after some steps there.
        scratch: the text prompt after as many steps there.
        own: the text prompt as it was optimised there. Its gain is the whole that the others are shares of, or without it that of
            ``scratch``.
        controls: displacements of the same length in random directions.
        labels: items that show a closed set's answers besides ``test``.
        state: file that keeps the scores of each prompt; a report that was ended goes on from it.

    Returns:
        ``n``; ``by`` (:class:`~embedgrad.carry.scores.Scores`); ``arms``, :func:`~embedgrad.carry.compared.compared` of ``text``,
        ``transferred``, ``random`` (the first control) and, where they are given, ``optimised`` (``own``), ``transferred_steps``
        and ``scratch_steps``; ``contrasts``, :func:`~embedgrad.carry.compared.contrast` of pairs of them; ``controls``, all of
        them, and how many have a loss ``below_transferred``; ``map``; ``alignment``, for each position its source positions with
        their weights; ``items``, each with its loss and verdict.

    Raises:
        UserError: ``own`` has another text or layout.
    """
    prompt = carried.prompt
    if own is not None:
        check_own(own, prompt)
    vectors: dict[str, torch.Tensor] = {"text": prompt.initial}
    if own is not None:
        vectors["optimised"] = own.vectors
    vectors["transferred"] = prompt.vectors
    chance = {f"random {seed}" if seed else "random": randomly_displaced(prompt, seed) for seed in range(controls)}
    vectors |= chance
    if further is not None and scratch is not None:
        vectors |= {"transferred_steps": further.vectors, "scratch_steps": scratch.vectors}
    kept = kept_scores(state, target, test, grading, decoding, labels, log)
    found: dict[str, Scores] = {
        name: scores_of(name, target, prompt.slot, one, test, grading, decoding, labels, log, kept)
        for name, one in vectors.items()
    }
    drawn = [found[name] for name in chance]
    arms = {name: found[name] for name in ARMS if name in found}
    whole = next((name for name in ("optimised", "scratch_steps") if name in arms), None)
    lower = sum(one.loss < found["transferred"].loss for one in drawn)
    return {
        "n": len(test),
        "by": found["text"].by,
        "arms": compared(arms, "text", whole),
        "contrasts": [
            {"of": one, "over": other, **contrast(arms[other], arms[one])}
            for one, other in CONTRASTS
            if {one, other} <= set(arms)
        ],
        "controls": mean_of(drawn) | {"below_transferred": lower},
        "map": carried.map.row(),
        "alignment": [
            [[place, round(weight, 6)] for place, weight in enumerate(row) if weight]
            for row in carried.weights.tolist()
        ],
        "items": item_rows(test, arms),
    }


def check_own(own: PromptEmbedding, prompt: PromptEmbedding) -> None:
    """Refuse a prompt of the target as the whole gain where it is not the same text in the same layout.

    Raises:
        UserError: it has another text or layout.
    """
    for what, one, other in (
        ("layout", own.slot.layout.row(), prompt.slot.layout.row()),
        ("text", own.slot.text, prompt.slot.text),
    ):
        if one != other:
            raise UserError(
                f"--own: it was optimised from another {what} than the prompt that is carried over; give one with the same "
                f"{what}, or leave out --own."
            )
