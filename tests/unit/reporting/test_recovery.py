"""Protocol recovery: the hidden protocol comes out first, and an answer cut short is the answer under that limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reporting_samples import DEMO_SIZES, PAPER_SIZES, cell, demo_cells, make_run

from embedgrad.analyses.counts import added, by_level
from embedgrad.cli import main
from embedgrad.reporting.recovery import printed_counts, rank
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
from embedgrad_core.files import Item, UserError, write_json, write_jsonl

HIDDEN = {"layout": "chat", "limit_share": 0.5, "stop_rule": "checkpoint", "strict": False}


def grid(before, hidden, own):
    """A grid whose hidden protocol reproduces ``before`` and whose others miss it by a third."""
    rows = []
    for layout in ("bare", "chat"):
        for share in (0.5, 1.0):
            for rule in ("family", "checkpoint"):
                protocol = {"layout": layout, "limit_share": share, "stop_rule": rule, "strict": False}
                levels = {
                    level: {"correct": k if protocol == hidden else (k + n // 3) % n, "n": n}
                    for level, (k, n) in before.items()
                }
                rows.append({"protocol": protocol, "levels": levels})
    return {"protocols": rows, "own": own}


@pytest.fixture
def run(tmp_path):
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    folder = make_run(tmp_path / "results", cells, DEMO_SIZES)
    for one in {(one.task, one.model): one for one in cells}.values():
        mine = [o for o in collect(cells, folder) if (o.cell.task, o.cell.model) == (one.task, one.model)]
        before = {o.cell.level or "": (o.metrics[0]["before"]["correct"], o.metrics[0]["n"]) for o in mine}
        write_json(folder / one.task / one.model / "recovery.json", grid(before, HIDDEN, HIDDEN))
    return cells, folder


def test_the_hidden_protocol_comes_out_first_and_alone(run):
    cells, folder = run
    rows = rank(collect(cells, folder), folder)
    assert {key: rows[0][key] for key in HIDDEN} == HIDDEN
    assert rows[0]["own_protocol"]
    assert rows[0]["cells"] == len(cells)
    # Without a strict reading, strict and lenient are one protocol and share the rank.
    twins = [row["rank"] for row in rows if row["log_likelihood"] == rows[0]["log_likelihood"]]
    assert set(twins) == {1}
    assert all(row["log_likelihood"] < rows[0]["log_likelihood"] for row in rows if row["rank"] > 1)


def test_the_papers_counts_come_from_the_audit():
    one, other = ("20.24", "34.52", "+14.28"), ("59.52", "71.43", "+11.91")
    table = [cell("imdb", "imdb", paper=one), cell("imdb", "imdb", model="b", paper=other)]
    from embedgrad.reporting.results.collected import Outcome

    counts = printed_counts([Outcome(one, (), {}) for one in table])
    assert counts["imdb", "tiny"] == (17, 84)
    assert counts["imdb", "b"] == (50, 84)
    assert PAPER_SIZES["imdb"] == {None: 84}


def test_a_broken_grid_is_named(run):
    cells, folder = run
    write_json(folder / "parity" / "tiny-0.2m" / "recovery.json", {"own": HIDDEN, "protocols": [{"levels": {}}]})
    with pytest.raises(UserError, match=r"parity/tiny-0\.2m/recovery\.json: key 'protocols.0.protocol' is missing"):
        rank(collect(cells, folder), folder)


def test_without_any_grid_there_is_no_ranking(tmp_path):
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    assert rank(collect(cells, tmp_path), tmp_path) == []


@given(st.lists(st.tuples(st.sampled_from([None, "1", "2"]), st.booleans()), max_size=9), st.integers(0, 9))
def test_the_counts_of_two_shards_add_up_to_the_whole(rows, cut):
    items = [Item(str(place), "q", "a", "a", level) for place, (level, _) in enumerate(rows)]
    lines = [{"correct": right} for _, right in rows]
    whole = by_level(items, lines)
    assert added([by_level(items[:cut], lines[:cut]), by_level(items[cut:], lines[cut:])]) == whole
    for level in {"", *(level or "" for level, _ in rows)}:
        mine = [right for one, right in rows if level in ("", one)]
        assert whole.pop(level) == {"correct": sum(mine), "n": len(mine)}
    assert not whole


def test_bad_shares_are_refused(tmp_path, capsys):
    write_jsonl(tmp_path / "t.jsonl", [{"id": "a", "input": "x", "target": "y", "answer": "y", "level": None}])
    flags = ["--model", "m", "--prompt", "p", "--evaluator", "exact", "--data", str(tmp_path / "t.jsonl")]
    assert main(["recovery", *flags, "--out", "o", "--limit-shares", "0.5,2"]) == 2
    assert "give shares above 0, the last of them 1" in capsys.readouterr().err
