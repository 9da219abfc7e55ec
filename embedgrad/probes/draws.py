"""Which items a probe asks: some of the test half, and items that no run has seen."""

import itertools
import math
import random
from collections.abc import Collection, Sequence

from embedgrad import tasks
from embedgrad.probes.applies import DoesNotApply
from embedgrad.tasks import generated
from embedgrad_core.files import Item

SEED = 7919  # far from the seeds of data that a configuration would name


def sampled(items: Sequence[Item], most: int) -> list[Item]:
    """So many items at most, drawn with seed 0, in the order of their ids."""
    ordered = sorted(items, key=lambda item: item.id)
    return ordered if len(ordered) <= most else sorted(random.Random(0).sample(ordered, most), key=lambda item: item.id)


def is_generated(task: str) -> bool:
    """Whether a task draws its items by a seed."""
    return hasattr(tasks.find(task), "DRAWS")


def fresh_items(
    task: str, count: int, known: Collection[str] = (), level: str | None = None, seed: int = SEED
) -> list[Item]:
    """``count`` items of a generated task in the order of their draw; of a task in levels, as many of each and ``count`` at least.

    A level of small numbers may have fewer that are new: it has as many as there are.

    Args:
        task: one that :func:`is_generated`.
        count: how many.
        known: inputs that must not be among them.
        level: this level's alone.
        seed: of the draw.
    """
    draws = {own: draw for own, draw in tasks.find(task).DRAWS.items() if level in (None, own)}
    each = math.ceil(count / len(draws))
    found = []
    for own, draw in draws.items():
        drawn = generated.as_many_as_there_are(draw, each + len(known), seed)
        new = (triple for triple in drawn if triple[0] not in known)
        found += generated.items(task, itertools.islice(new, each), own)
    return found


def with_fresh(task: str, items: Sequence[Item], known: Collection[str]) -> tuple[list[Item], list[Item], list[str]]:
    """Items, as many new ones of the same level beside each level's, and the levels that had to be left out of both.

    Raises:
        DoesNotApply: no level has as many new items.
    """
    kept, beside, left_out = [], [], []
    for level in sorted({item.level for item in items}, key=str):
        own = [item for item in items if item.level == level]
        fresh = fresh_items(task, len(own), known, level)
        if len(fresh) < len(own):
            left_out.append(str(level))
            continue
        kept += own
        beside += fresh
    if not kept:
        raise DoesNotApply("too few items can be generated that are not among the known ones: there are no controls")
    return kept, beside, left_out
