"""Any number of rows decoded side by side gives what one row at a time gives: the whole grid."""

import pytest
from lanes import LIMIT, SIZES, one_at_a_time, same_in_any_lanes

from embedgrad_core.decoding.greedy import greedy


@pytest.fixture(scope="module")
def bodies(slot, items):
    return [slot.body_ids(item.input) for item in items] * 3


@pytest.fixture(scope="module")
def expected(frozen, slot, vectors, bodies):
    return one_at_a_time(frozen, slot, vectors, bodies)


@pytest.mark.parametrize("rows", [1, 2, 5, 8, 64])
@pytest.mark.parametrize("sizes", SIZES)
def test_any_number_of_lanes_steps_and_places_gives_the_same(
    frozen, slot, vectors, bodies, expected, monkeypatch, rows, sizes
):
    same_in_any_lanes(frozen, slot, vectors, bodies, expected, monkeypatch, rows, sizes)


def test_more_rows_than_lanes_in_any_number_of_them(frozen, slot, vectors, items):
    bodies = [slot.body_ids(item.input) for item in items] * 2
    one = greedy(frozen, slot, vectors, bodies[: len(items)], LIMIT, frozen.stop_ids(), batch_size=1) * 2
    for size in (2, 5, 64):
        rows = greedy(frozen, slot, vectors, bodies, LIMIT, frozen.stop_ids(), batch_size=size)
        assert [row.ids for row in rows] == [row.ids for row in one]
        assert [row.index for row in rows] == list(range(len(bodies)))
