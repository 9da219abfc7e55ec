"""Protocol recovery: the hidden protocol comes out first, and an answer cut short is the answer under that limit."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reporting_samples import DEMO_SIZES, PAPER_SIZES, cell, demo_cells, make_run
from scipy import integrate, special, stats

from embedgrad.analyses.baselines.counts import added, by_level
from embedgrad.cli import main
from embedgrad.reporting.recovery import KEYS, LIKELIEST, NOT_APART, axes, printed_counts, rank
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
from embedgrad_core.files import Item, UserError, read_json, write_json, write_jsonl

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
    # A task's own row and its levels are the same answers: they count once.
    assert rows[0]["cells"] == len([cell for cell in cells if cell.level is None]) < len(cells)
    assert sum(row["posterior"] for row in rows) == pytest.approx(1)
    # Without a strict reading, strict and lenient are one protocol and share the rank.
    twins = [row["rank"] for row in rows if row["log_likelihood"] == rows[0]["log_likelihood"]]
    assert set(twins) == {1}
    assert all(row["log_likelihood"] < rows[0]["log_likelihood"] for row in rows if row["rank"] > 1)


def test_the_likelihood_takes_both_counts_as_samples(run):
    """By integrating over the unknown accuracy, which is what the beta-binomial does in closed form."""
    cells, folder = run
    outcomes = [outcome for outcome in collect(cells, folder) if outcome.cell.level is None][:1]
    grid_ = read_json(folder / outcomes[0].cell.task / outcomes[0].cell.model / "recovery.json")
    k, m = printed_counts(outcomes)[outcomes[0].cell.dataset, outcomes[0].cell.model]
    by_protocol = {tuple(row[key] for key in KEYS): row["log_likelihood"] for row in rank(outcomes, folder)}
    for row in grid_["protocols"]:
        counts = row["levels"][""]
        prior = stats.beta(counts["correct"] + 0.5, counts["n"] - counts["correct"] + 0.5)
        whole, _ = integrate.quad(lambda p, prior=prior: stats.binom.pmf(k, m, p) * prior.pdf(p), 0, 1, limit=200)
        assert by_protocol[tuple(row["protocol"][key] for key in KEYS)] == pytest.approx(np.log(whole), abs=1e-6)


def test_a_planted_protocol_has_the_largest_posterior_and_an_axis_without_effect_is_not_told():
    """Counts drawn from a truth in which the layout moves accuracy by 25 points, the limit by 15, the stop rule by nothing."""
    chance = np.random.default_rng(3)
    hidden = ("chat", 0.5, "family", False)
    total = dict.fromkeys(itertools.product(("bare", "chat"), (0.5, 1.0), ("family", "checkpoint"), (False,)), 0.0)
    for _ in range(6):  # cells of 84 printed items and 100 of ours
        base = chance.uniform(0.2, 0.5)

        def truth(layout, limit, *_, base=base):
            return base + 0.25 * (layout == "chat") + 0.15 * (limit == 1.0)

        k = chance.binomial(84, truth(*hidden))
        ours = {key: chance.binomial(100, truth(*key)) for key in itertools.product(("bare", "chat"), (0.5, 1.0))}
        for protocol in total:
            c = ours[protocol[:2]]
            total[protocol] += stats.betabinom.logpmf(k, 84, c + 0.5, 100 - c + 0.5)
    weights = special.softmax(list(total.values()))
    rows = [dict(zip(KEYS, key, strict=True)) | {"posterior": w} for key, w in zip(total, weights, strict=True)]
    found = {(row["choice"], row["value"]): row for row in axes(rows)}
    assert found["layout", "chat"]["word"] == LIKELIEST
    assert found["limit_share", 0.5]["word"] == LIKELIEST
    assert {found["stop_rule", value]["word"] for value in ("family", "checkpoint")} == {NOT_APART}
    assert {choice for choice, _ in found} == {"layout", "limit_share", "stop_rule"}
    best = max(rows, key=lambda row: row["posterior"])
    assert (best["layout"], best["limit_share"]) == hidden[:2]


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
