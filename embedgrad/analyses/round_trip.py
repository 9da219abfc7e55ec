"""The round trip to words (Section 5.1): what is left of an optimised prompt when it is put back into words."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from embedgrad.grading import Grading
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, PromptEmbedding, Slot, decode
from embedgrad_core.anchoring import randomly_displaced, snapped
from embedgrad_core.decoding.answers import Decoded
from embedgrad_core.decoding.together import answers_together, gains
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
    words = snapped(frozen, prompt)
    # Vectors that snap back to their own tokens are the text prompt again: the answers are the same.
    is_text = bool(torch.equal(words, prompt.initial))
    asked = {"before": prompt.initial, "after": prompt.vectors} | ({} if is_text else {"snapped": words})
    asked |= {f"random, seed {seed}": randomly_displaced(prompt, seed) for seed in seeds}
    found = {}
    for name, answers in _answers(frozen, prompt.slot, asked, items, decoding, log):
        found[name] = grading.accuracy({row.id: row.output for row in answers}, gold)
        log(f"{name}: accuracy {found[name]:.3f} on {len(items)} items")
    before, after, back = found["before"], found["after"], found["before" if is_text else "snapped"]
    each = [found[f"random, seed {seed}"] for seed in seeds]
    return {
        "n": len(items),
        "decoding": decoding.row(),
        "accuracy": {"before": before, "after": after, "snapped": back, "random": sum(each) / len(each)},
        "random_each": each,
        "snapped_equals_before": is_text,
    }


def _answers(
    frozen: FrozenModel,
    slot: Slot,
    asked: Mapping[str, torch.Tensor],
    items: Sequence[Item],
    decoding: Decoding,
    log: Callable[[str], None],
) -> Iterator[tuple[str, list[Decoded]]]:
    """The answers behind each vectors by name: all at once where that gains."""
    if not gains(frozen, decoding):
        for name, vectors in asked.items():
            with Progress(f"round trip, {name}", len(items), log) as at:
                yield name, decode(frozen, slot, vectors, items, decoding, log=log, **at.decoding)
        return
    with Progress("round trip", len(asked) * len(items), log) as at:
        found = answers_together(frozen, slot, list(asked.values()), items, decoding, log=log, **at.decoding)
    yield from zip(asked, found, strict=True)
