"""How items are cut into shards; tests/system/decoding/test_shards.py has the commands that answer them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedgrad_core.files import Item, UserError, in_blocks, in_order, shard

levels = st.lists(st.sampled_from(["", "1", "2", "3"]), max_size=60)


def made(names):
    return [Item(f"item/{n:03}", "x", "y", "y", level or None) for n, level in enumerate(names)]


@given(levels, st.one_of(st.none(), st.integers(1, 20)), st.integers(1, 9))
def test_shards_are_runs_of_whole_blocks_and_cover_all_items_once(names, size, count):
    items = made(names)
    blocks = in_blocks(items, size)
    assert [item for block in blocks for item in block] == [item for level in in_order(items) for item in level]
    shards = [shard(items, size, number, count) for number in range(1, count + 1)]
    assert [item for one in shards for item in one] == [item for block in blocks for item in block]
    # What a shard answers by itself is cut into the very blocks that the whole is cut into.
    assert [block for one in shards for block in in_blocks(one, size)] == blocks
    sizes = Counter(len(in_blocks(one, size)) for one in shards)
    assert max(sizes) - min(sizes) <= 1


def test_a_shard_that_is_none_is_refused():
    with pytest.raises(UserError, match="shard 3 of 2: shards are numbered"):
        shard([], 4, 3, 2)
    with pytest.raises(UserError, match="block is 0"):
        in_blocks(made(["1"]), 0)
