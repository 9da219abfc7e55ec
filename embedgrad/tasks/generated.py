"""What the demo's generated tasks share: items drawn by seed, never seen in pretraining."""

import hashlib
from collections.abc import Callable, Iterator
from random import Random

from embedgrad_core.files import Item, UserError

HELD_OUT = 64  # of 256: the share of inputs kept for evaluation


def is_held_out(text: str) -> bool:
    """Whether an input belongs to the evaluation pool; pretraining draws only from the others."""
    return hashlib.sha256(text.encode()).digest()[0] < HELD_OUT


def distinct(draw: Callable[[Random], tuple[str, str, str]], count: int, seed: int) -> Iterator[tuple]:
    """``count`` different (input, target, answer) triples whose inputs pretraining never draws.

    Raises:
        UserError: the generator cannot make that many.
    """
    random, tries = Random(seed), 0
    seen: set[str] = set()
    while len(seen) < count:
        text, target, answer = draw(random)
        tries += 1
        if tries > 200 * count:
            raise UserError(f"only {len(seen)} different items of {count} could be generated; ask for fewer.")
        if text not in seen and is_held_out(text):
            seen.add(text)
            yield text, target, answer


def items(task: str, triples: Iterator[tuple], level: str | None = None) -> list[Item]:
    """Number the triples as items of a task."""
    prefix = f"{task}/L{level}" if level else task
    return [
        Item(f"{prefix}/{number:03d}", text, target, answer, level)
        for number, (text, target, answer) in enumerate(triples)
    ]
