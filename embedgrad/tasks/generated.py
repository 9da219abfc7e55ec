"""What the demo's generated tasks share: items drawn by seed, never seen in pretraining."""

import hashlib
from collections.abc import Callable, Iterator
from random import Random

from embedgrad_core.files import Item, UserError

Triple = tuple[str, str, str]  # input, target, answer
Draw = Callable[[Random], Triple]
HELD_OUT = 64  # of 256: the share of inputs kept for evaluation


def is_held_out(text: str) -> bool:
    """Whether an input belongs to the evaluation pool; pretraining draws only from the others."""
    return hashlib.sha256(text.encode()).digest()[0] < HELD_OUT


def distinct(draw: Draw, count: int, seed: int) -> Iterator[Triple]:
    """``count`` different triples whose inputs pretraining never draws.

    Raises:
        UserError: the generator cannot make that many.
    """
    made = 0
    for triple in as_many_as_there_are(draw, count, seed):
        made += 1
        yield triple
    if made < count:
        raise UserError(f"only {made} different items of {count} could be generated; ask for fewer.")


def as_many_as_there_are(draw: Draw, most: int, seed: int) -> Iterator[Triple]:
    """The same triples, fewer than ``most`` where 200 tries for each of them find no more."""
    random = Random(seed)
    seen: set[str] = set()
    for _ in range(200 * most):
        if len(seen) == most:
            return
        text, target, answer = draw(random)
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
