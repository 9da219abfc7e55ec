"""Which items are answered together, and which of them by one of several jobs.

Rounding depends on what shares a batch, so a job must not be cut wherever it suits: items are answered in *blocks* of a fixed
size, and a shard is a run of whole blocks. One shard, two or seven give the same bytes.
"""

from collections.abc import Sequence
from itertools import groupby

from embedgrad_core.files.errors import UserError
from embedgrad_core.files.item import Item


def in_order(items: Sequence[Item]) -> list[list[Item]]:
    """Items by (level, id), a list for each level.

    A level is decoded by itself: its items meet the same neighbours whether it is decoded alone or with the whole task.
    """
    ordered = sorted(items, key=lambda item: (item.level or "", item.id))
    return [list(level) for _, level in groupby(ordered, key=lambda item: item.level)]


def in_blocks(items: Sequence[Item], size: int | None = None) -> list[list[Item]]:
    """Each level of :func:`in_order` in blocks of ``size`` items, the last one of a level shorter; None never cuts a level.

    Raises:
        UserError: a size below 1.
    """
    if size is not None and size < 1:
        raise UserError(f"block is {size}; it must be at least 1.")
    levels = in_order(items)
    if size is None:
        return levels
    return [level[start : start + size] for level in levels for start in range(0, len(level), size)]


def shard(items: Sequence[Item], size: int | None, number: int, count: int) -> list[Item]:
    """The items of shard ``number`` (from 1) of ``count``, in order; empty where there are fewer blocks than shards.

    Raises:
        UserError: no such shard.
    """
    if not 1 <= number <= count:
        raise UserError(f"shard {number} of {count}: shards are numbered from 1 to their count.")
    blocks = in_blocks(items, size)
    first, last = (len(blocks) * edge // count for edge in (number - 1, number))
    return [item for block in blocks[first:last] for item in block]
