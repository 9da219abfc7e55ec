"""Tables of runs with all cells of the paper, or with several seeds of all cells of the demo."""

import re

from places import ROOT
from reporting_samples import DEMO_SIZES, PAPER_SIZES, demo_cells, make_run

from embedgrad.reporting.analyses import seed_rows
from embedgrad.reporting.claims import (
    COMPATIBLE,
    FAILS,
    HOLDS,
    INCONCLUSIVE,
    NOT_TESTABLE,
    OPEN,
    check_claims,
    read_claims,
)
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
from embedgrad.reporting.table2 import latex, markdown, numbers
from embedgrad_core.files import write_json

CLAIMS = read_claims(ROOT / "config" / "claims.tsv")
PAPER = read_cells(ROOT / "config" / "cells.tsv")


def test_gain_over_seeds_and_items(tmp_path):
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    folder = make_run(tmp_path / "results", cells, DEMO_SIZES, seeds=(0, 1, 2))
    rows = seed_rows(collect(cells, folder))
    assert len(rows) == 12
    assert {row["seeds"] for row in rows} == {3}
    for row in rows:
        assert row["low"] <= row["gain_points"] <= row["high"]
        assert row["seed_min"] <= row["gain_points"] <= row["seed_max"]
        assert min(row["sd_items"], row["sd_seeds"], row["sd_rest"]) >= 0


def test_a_run_is_held_against_the_claims(tmp_path):
    folder = make_run(tmp_path, PAPER, PAPER_SIZES)
    home = folder / "imdb" / "qwen2.5-3b-instruct" / "seed0"
    near = {"softmax": {"p": 0.97}, "cosine": {"nearest_id": 5, "p": 0.9}}
    far = {"softmax": {"p": 0.2}, "cosine": {"nearest_id": 6, "p": 0.8}}
    position = {"position": 0, "token_id": 5, "drift": 0.1, "before": far, "after": near, "random": far}
    summary = {"mean_drift": 0.1, "nearest_token_unchanged": 3, "positions": 4}
    write_json(home / "anchoring.json", {"positions": [position, position], "summary": summary, "round_trip": None})
    write_json(home / "lat.json", lat(0.9))
    write_json(folder / "causal_judgment" / "qwen2.5-3b-instruct" / "seed0" / "lat.json", lat(0.9, (-5, -5, -5)))
    found = {one.id: one for one in check_claims(CLAIMS, PAPER, collect(PAPER, folder), folder)}
    assert (found["anchor-p"].from_run, found["anchor-p"].run_verdict) == ("0.97", HOLDS)
    # The same is said of the untouched weights: there it is not so.
    assert (found["anchor-p"].untouched, found["anchor-p"].untouched_verdict) == ("0.20", FAILS)
    assert found["anchor-p"].control == "moved as far at random: 0.2"
    assert (found["anchor-similarity"].from_run, found["anchor-similarity"].run_verdict) == ("0.90", FAILS)
    assert (found["anchor-all"].from_run, found["anchor-all"].run_verdict) == ("0.75", FAILS)
    assert (found["anchor-all"].untouched_verdict, found["anchor-all"].control) == (
        HOLDS,
        "moved as far at random: 0.000",
    )
    # Figure 3 is about sentiment: the other task's file does not count.
    assert (found["lat-all-layers"].from_run, found["lat-all-layers"].run_verdict) == ("-0.10", INCONCLUSIVE)
    assert "3 of 3 layers have a valid direction" in found["lat-all-layers"].control
    assert "reader of 1 of 1 cells: responses at prompt_mean: template not computed" in found["lat-all-layers"].control
    assert found["lat-first-layer"].run_verdict == COMPATIBLE
    assert found["maths-after"].run_verdict == COMPATIBLE, "the samples are drawn from the printed accuracies"
    assert found["maths-after"].untouched_verdict == FAILS
    assert 0 < float(found["loop-share"].from_run) <= 1
    low, value, high = (float(getattr(found["loop-entropy"], key)) for key in ("run_low", "from_run", "run_high"))
    assert 0 < low < value < high
    # The gains of 14B are too few items to tell from 0.
    assert found["scale-ratio"].run_verdict == NOT_TESTABLE
    assert "cannot be told from 0" in found["scale-ratio"].note
    assert found["entropy-initial"].run_verdict in (HOLDS, FAILS, INCONCLUSIVE)
    assert found["overfitting"].run_verdict == NOT_TESTABLE
    assert found["setup-problems"].run_verdict == OPEN

    write_json(
        home / "lat.json", lat(0.8)
    )  # no better than random directions: nothing can be said along such a direction
    found = {one.id: one for one in check_claims(CLAIMS, PAPER, collect(PAPER, folder), folder)}
    assert {found[name].run_verdict for name in ("lat-all-layers", "lat-first-layer")} == {NOT_TESTABLE}
    assert "no direction separates held-out pairs" in found["lat-all-layers"].note


def lat(held_out, deltas=(0.5, 0.2, -0.1)):
    """An analysis of three layers whose directions separate this share of held-out pairs, and random ones up to 0.8."""
    accuracy, band = {"held_out": held_out, "random": {"q975": 0.8}}, {"band": [-1, 1], "random": [-1, 1]}
    layers = [
        {"layer": place, "accuracy": accuracy, "readings": {"prompt_mean": {"delta": value, **band}}}
        for place, value in enumerate(deltas)
    ]
    return {"layers": layers, "summary": {}}


def test_paper_run_with_missing_cells_says_why(tmp_path):
    cells = PAPER
    skip = ("imdb/llama-3.1-8b-instruct", "medd/qwen2.5-14b-instruct")
    folder = make_run(tmp_path / "paper", cells, PAPER_SIZES, skip)
    write_json(folder / "imdb" / "llama-3.1-8b-instruct" / "seed0" / "skipped.json", {"reason": "gated"})
    outcomes = collect(cells, folder, [0])
    rows = {f"{row['dataset']}/{row['model']}": row for row in numbers(outcomes)}
    assert rows[skip[0]]["status"] == rows[skip[1]]["status"] == "missing"
    assert rows[skip[0]]["missing_reason"] == "gated"
    assert rows[skip[1]]["missing_reason"] == "not run yet"
    assert rows[skip[0]]["paper_after"] == "64.29"
    text = markdown(outcomes)
    assert text.count("missing: gated") == 1
    assert "2 of 26 cells are missing" in text
    assert "57.14 → 64.29 (+7.15)" in text
    assert re.search(r"Verdicts .*: .*\d+ (replicated|partly|not)", text)
    tex = latex(outcomes)
    assert "missing: gated" in tex
    body = tex.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 26
    assert all(len(re.findall(r"(?<!\\)&", line)) == 11 for line in lines)
