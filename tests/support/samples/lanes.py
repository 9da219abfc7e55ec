"""Decoding by steps of fixed shapes, held against the other decoder with one row at a time."""

import pytest

from embedgrad_core.decoding import graphed
from embedgrad_core.decoding.greedy import greedy

LIMIT = 68
SIZES = [(16, 256, 8192), (7, 8, 50), (1, 1, 1)]  # steps between looks, what places are rounded to, tokens read at once


def one_at_a_time(frozen, slot, vectors, bodies):
    """Stop tokens, and rows of the other decoder; a token that it says soon ends some early. Each input is there thrice."""
    stops = (greedy(frozen, slot, vectors, bodies[:1], 9, ())[0].ids[5], *frozen.stop_ids())
    third = len(bodies) // 3
    return stops, greedy(frozen, slot, vectors, bodies[:third], LIMIT, stops, batch_size=1, graphed=False) * 3


def same_in_any_lanes(frozen, slot, vectors, bodies, expected, monkeypatch, rows, sizes):
    """The same tokens and entropies in ``rows`` lanes; each row is begun and ended once."""
    stops, wanted = expected
    for name, value in zip(("INTERVAL", "ROUND", "PREFILL"), sizes, strict=True):
        monkeypatch.setattr(graphed, name, value)
    ended, begun = [], []
    callbacks = {"on_end": ended.append, "on_step": begun.append}
    found = greedy(frozen, slot, vectors, bodies, LIMIT, stops, batch_size=rows, graphed=True, **callbacks)
    assert [row.ids for row in found] == [row.ids for row in wanted]
    for row, other in zip(found, wanted, strict=True):
        assert row.bits == pytest.approx(other.bits, abs=1e-4)
    assert sorted(row.index for row in ended) == list(range(len(bodies)))
    assert all(0 <= rest < rows for rest in begun)
    assert len({len(row.ids) for row in found}) > 2, "the case must mix rows that end early with rows that run on"
