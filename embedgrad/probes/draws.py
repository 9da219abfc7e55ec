"""Which items a probe asks: some of the test half, and items that no run has seen."""

import inspect
import math
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from embedgrad import tasks
from embedgrad_core.files import Item

SEED = 7919  # far from the seeds of data that a configuration would name


def sampled(items: Sequence[Item], most: int) -> list[Item]:
    """So many items at most, drawn with seed 0, in the order of their ids."""
    ordered = sorted(items, key=lambda item: item.id)
    return ordered if len(ordered) <= most else sorted(random.Random(0).sample(ordered, most), key=lambda item: item.id)


def is_generated(task: str) -> bool:
    """Whether a task draws its items by a seed."""
    return "seed" in inspect.signature(tasks.find(task).load).parameters


def fresh_items(
    task: str, count: int, known: Collection[str] = (), level: str | None = None, seed: int = SEED
) -> list[Item]:
    """``count`` items of a generated task in the order of their draw; of a task in levels, as many of each and ``count`` at least.

    Args:
        task: one that :func:`is_generated`.
        count: how many.
        known: inputs that must not be among them.
        level: this level's alone.
        seed: of the draw.

    Raises:
        UserError: the generator cannot make that many.
    """
    load = tasks.find(task).load
    size = "count" if "count" in inspect.signature(load).parameters else "items_per_level"
    found = [item for item in load(None, seed=seed, **{size: count + len(known)}).items if item.input not in known]
    found = [item for item in found if level is None or item.level == level]
    levels = sorted({item.level or "" for item in found})
    return _of_levels(found, dict.fromkeys(levels, math.ceil(count / len(levels))))


def _of_levels(items: Sequence[Item], wanted: Mapping[str, int]) -> list[Item]:
    """The first items of each level, as many as are wanted of it."""
    taken: Counter[str] = Counter()
    kept = []
    for item in items:
        level = item.level or ""
        if taken[level] < wanted.get(level, 0):
            taken[level] += 1
            kept.append(item)
    return kept
