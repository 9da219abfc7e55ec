"""What a carried prompt is worth on its new model, beside what would refute it."""

from collections.abc import Callable, Sequence

import torch

from embedgrad.carry.compared import compared, item_rows, mean_of
from embedgrad.carry.scores import Scores, scores_of
from embedgrad.carry.transfer import Carried
from embedgrad.grading import Grading
from embedgrad_core import Decoding, FrozenModel, PromptEmbedding
from embedgrad_core.anchoring import randomly_displaced
from embedgrad_core.files import Item

ARMS = ("text", "transferred", "random", "transferred_steps", "scratch_steps")


def transfer_report(
    target: FrozenModel,
    carried: Carried,
    test: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    *,
    further: PromptEmbedding | None = None,
    scratch: PromptEmbedding | None = None,
    controls: int = 3,
    labels: Sequence[Item] = (),
    log: Callable[[str], None] = print,
) -> dict:
    """Measure a carried prompt on its new model.

    Args:
        carried: the prompt as it was carried over.
        test: items that none of the prompts was trained on.
        further: the carried prompt after some steps there.
        scratch: the text prompt after as many steps there; its gain is the whole that the others are shares of.
        controls: displacements of the same length in random directions.
        labels: items that show a closed set's answers besides ``test``.

    Returns:
        ``n``; ``by`` (:class:`~embedgrad.carry.scores.Scores`); ``arms``, :func:`~embedgrad.carry.compared.compared` of ``text``,
        ``transferred``, ``random`` (the first control) and, where there were steps, ``transferred_steps`` and ``scratch_steps``;
        ``controls``, all of them, and how many have a loss ``below_transferred``; ``map``; ``alignment``, for each position its
        source positions with their weights; ``items``, each with its loss and verdict.
    """
    prompt = carried.prompt
    vectors: dict[str, torch.Tensor] = {"text": prompt.initial, "transferred": prompt.vectors}
    chance = {f"random {seed}" if seed else "random": randomly_displaced(prompt, seed) for seed in range(controls)}
    vectors |= chance
    if further is not None and scratch is not None:
        vectors |= {"transferred_steps": further.vectors, "scratch_steps": scratch.vectors}
    found: dict[str, Scores] = {
        name: scores_of(name, target, prompt.slot, one, test, grading, decoding, labels, log)
        for name, one in vectors.items()
    }
    drawn = [found[name] for name in chance]
    arms = {name: found[name] for name in ARMS if name in found}
    lower = sum(one.loss < found["transferred"].loss for one in drawn)
    return {
        "n": len(test),
        "by": found["text"].by,
        "arms": compared(arms, "text", "scratch_steps" if scratch is not None else None),
        "controls": mean_of(drawn) | {"below_transferred": lower},
        "map": carried.map.row(),
        "alignment": [
            [[place, round(weight, 6)] for place, weight in enumerate(row) if weight]
            for row in carried.weights.tolist()
        ],
        "items": item_rows(test, arms),
    }
