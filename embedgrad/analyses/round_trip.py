"""The round trip to words (Section 5.1): what is left of an optimised prompt when it is put back into words."""

from collections.abc import Callable, Sequence

import torch

from embedgrad.grading import Grading
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, PromptEmbedding, decode
from embedgrad_core.anchoring import randomly_displaced, snapped
from embedgrad_core.files import Item


def round_trip(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    items: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    seeds: Sequence[int] = range(3),
    log: Callable[[str], None] = print,
) -> dict:
    """Accuracy of the text, the optimised vectors, those snapped to their nearest tokens, and controls moved as far at random.

    ``items`` are not the test split's, ``seeds`` are the controls'.

    Returns:
        ``n``, ``decoding``, ``accuracy`` (before, after, snapped, random: the mean over the controls), ``random_each``, and
        ``snapped_equals_before``.
    """
    gold = {item.id: item.answer for item in items}

    def accuracy(name: str, vectors: torch.Tensor) -> float:
        with Progress(f"round trip, {name}", len(items), log) as at:
            answers = decode(frozen, prompt.slot, vectors, items, decoding, log=log, **at.decoding)
        found = grading.accuracy({row.id: row.output for row in answers}, gold)
        log(f"{name}: accuracy {found:.3f} on {len(items)} items")
        return found

    before, after = accuracy("before", prompt.initial), accuracy("after", prompt.vectors)
    words = snapped(frozen, prompt)
    # Vectors that snap back to their own tokens are the text prompt again: the answers are the same.
    is_text = bool(torch.equal(words, prompt.initial))
    back = before if is_text else accuracy("snapped", words)
    each = [accuracy(f"random, seed {seed}", randomly_displaced(prompt, seed)) for seed in seeds]
    return {
        "n": len(items),
        "decoding": decoding.row(),
        "accuracy": {"before": before, "after": after, "snapped": back, "random": sum(each) / len(each)},
        "random_each": each,
        "snapped_equals_before": is_text,
    }
