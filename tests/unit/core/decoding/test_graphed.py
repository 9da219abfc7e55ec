"""Steps of fixed shapes: on a CPU they run one operation after the other, the very code that a GPU captures."""

import pytest
import torch
from lanes import LIMIT, SIZES, one_at_a_time, same_in_any_lanes

from embedgrad_core import LoopRule
from embedgrad_core.decoding.graphed import GraphedDecoder, Workspace
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.decoding.static_cache import StaticCache


@pytest.fixture(scope="module")
def bodies(slot, items):
    return [slot.body_ids(item.input) for item in items] * 3


@pytest.fixture(scope="module")
def expected(frozen, slot, vectors, bodies):
    return one_at_a_time(frozen, slot, vectors, bodies)


@pytest.mark.parametrize(("rows", "sizes"), [(8, SIZES[0]), (5, SIZES[1]), (64, SIZES[2])])
def test_any_number_of_lanes_steps_and_places_gives_the_same(
    frozen, slot, vectors, bodies, expected, monkeypatch, rows, sizes
):
    """Each number once; tests/system/decoding/test_many_lanes.py has every pair, and fewer lanes."""
    same_in_any_lanes(frozen, slot, vectors, bodies, expected, monkeypatch, rows, sizes)


def test_lanes_that_run_empty_are_given_up(frozen, slot, vectors, bodies, expected, monkeypatch):
    """Rows are dealt together where nothing waits: each step has half as many lanes, never fewer than rows that run."""
    stops, wanted = expected
    step, seen = GraphedDecoder._compute, []

    def noted(self, rows, read):
        seen.append((rows, sum(row is not None for row in self.lanes), read))
        step(self, rows, read)

    monkeypatch.setattr(GraphedDecoder, "_compute", noted)
    found = greedy(frozen, slot, vectors, bodies, LIMIT, stops, batch_size=len(bodies), graphed=True)
    assert [row.ids for row in found] == [row.ids for row in wanted]
    assert len({rows for rows, _, _ in seen}) > 1, "some rows must end early"
    assert all(running > rows // 2 or rows == 1 for rows, running, _ in seen)


def test_a_step_looks_at_no_outcome(frozen, slot, vectors, bodies, monkeypatch):
    """What a step computes on stays where it is: nothing is read by the host, and no tensor is made from the host's values."""
    step = GraphedDecoder._compute

    def refuse(*_, **__):
        raise AssertionError("a step asked the device for a value, or sent it one")

    def watched(self, rows, read):
        with monkeypatch.context() as patch:
            for name in ("item", "tolist", "__bool__", "__int__", "__float__"):
                patch.setattr(torch.Tensor, name, refuse)
            patch.setattr(torch, "tensor", refuse)
            step(self, rows, read)

    monkeypatch.setattr(GraphedDecoder, "_compute", watched)
    assert greedy(frozen, slot, vectors, bodies[:4], 20, (), batch_size=4, graphed=True)


def test_decodings_that_share_a_workspace_share_its_buffers(frozen, slot, vectors, bodies, expected):
    """What an earlier decoding left in the cache is never seen: answers are the same, in any order of sizes."""
    stops, wanted = expected
    workspace, seen = Workspace(), []
    for part in (slice(0, 6), slice(6, 10), slice(2, 6)):
        how = {"batch_size": 4, "graphed": True, "workspace": workspace}
        found = greedy(frozen, slot, vectors, bodies[part], LIMIT, stops, **how)
        assert [row.ids for row in found] == [row.ids for row in wanted[part]]
        seen.append(workspace._kept)
    assert all(buffers is seen[0] for buffers in seen)
    greedy(frozen, slot, vectors, bodies[:3], LIMIT, stops, batch_size=3, graphed=True, workspace=workspace)
    assert workspace._kept is not seen[0], "three rows are another size"


def test_loops_end_early(frozen, slot, vectors, bodies):
    rule = LoopRule(4, 8)
    both = [greedy(frozen, slot, vectors, bodies, 80, (), stop_on_loop=rule, graphed=side) for side in (False, True)]
    assert [(row.ids, row.looped) for row in both[0]] == [(row.ids, row.looped) for row in both[1]]
    assert any(row.looped for row in both[1]), "the tiny model must loop somewhere"


def test_a_step_that_cannot_be_captured_runs_without(frozen, slot, vectors, bodies, expected, monkeypatch):
    """Here there is no CUDA at all: the capture itself fails, is reported once, and the tokens are the same."""
    stops, wanted = expected
    begin, said = GraphedDecoder.__init__, []

    def capturing(self, *arguments, **more):
        begin(self, *arguments, **more)
        self.capturing = True

    def no_graph():
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(GraphedDecoder, "__init__", capturing)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", no_graph)
    found = greedy(frozen, slot, vectors, bodies, LIMIT, stops, batch_size=4, graphed=True, log=said.append)
    assert [row.ids for row in found] == [row.ids for row in wanted]
    assert said == [
        "steps are not captured as CUDA graphs (CUDA error: operation not permitted when stream is capturing); "
        "going on without, results are the same"
    ]


def test_out_of_memory_answers_fewer_rows_at_a_time(frozen, slot, vectors, bodies, expected, monkeypatch):
    stops, wanted = expected
    begin, said = StaticCache.layer, []

    def small_memory(self, *arguments):
        if self.rows > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return begin(self, *arguments)

    monkeypatch.setattr(StaticCache, "layer", small_memory)
    found = greedy(frozen, slot, vectors, bodies, LIMIT, stops, batch_size=12, graphed=True, log=said.append)
    assert [row.ids for row in found] == [row.ids for row in wanted]
    assert [line.split(" answers")[0] for line in said] == [f"out of memory: going on with {count}" for count in (6, 3)]
