"""Tables over the analyses of all cells, and the ladder of baselines."""

import csv
import json

import numpy as np
import pytest
from reporting_samples import DEMO_SIZES, cell, demo_cells, make_run
from scipy import stats

from embedgrad.cli import main
from embedgrad.reporting.analyses import correlation, limit_rows, prompt_rows
from embedgrad.reporting.figures.ladder import ladder, limits
from embedgrad.reporting.ladder import ladder_markdown, ladder_rows, two_decimals
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import Outcome, collect
from embedgrad.reporting.statistics import mcnemar
from embedgrad_core.files import UserError, write_json


@pytest.fixture
def run(tmp_path):
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    folder = make_run(tmp_path / "results", cells, DEMO_SIZES, skip=("parity/tiny-0.8m",))
    rung = {"correct": 9, "n": 90, "levels": {level: {"correct": 3, "n": 30} for level in "123"}}
    rungs = {"no_prompt": rung, "few_shot": {"left_out": "too long"}}
    write_json(folder / "arithmetic" / "tiny-0.2m" / "ladder.json", {"rungs": rungs})
    summary = {"mean_drift": 0.25, "nearest_token_unchanged": 7, "positions": 8}
    trip = {"accuracy": {"before": 0.1, "after": 0.9, "snapped": 0.1, "random": 0.2}}
    write_json(
        folder / "sentiment" / "tiny-0.2m" / "seed0" / "anchoring.json", {"summary": summary, "round_trip": trip}
    )
    return tmp_path


def outcomes_of(run):
    return collect(read_cells(run / "cells.tsv"), run / "results")


def test_ladder_stands_beside_the_tables_own_numbers(run):
    rows = ladder_rows(outcomes_of(run), run / "results")
    assert [row["dataset"] for row in rows] == ["arithmetic", "arithmetic-L1", "arithmetic-L2", "arithmetic-L3"]
    assert [row["no_prompt"] for row in rows] == [10.0] * 4
    assert all(row["few_shot"] is None for row in rows)
    metrics = json.loads((run / "results/arithmetic-L1/tiny-0.2m/seed0/metrics.json").read_text())
    assert rows[1]["optimised"] == 100 * metrics["after"]["accuracy"]


def test_prompt_rows_take_what_is_there(run):
    rows = prompt_rows(outcomes_of(run), run / "results")
    assert len(rows) == 11
    with_trip = [row for row in rows if "drift" in row]
    assert [(row["dataset"], row["tokens_kept"], row["dev_snapped"]) for row in with_trip] == [("sentiment", 7, 10.0)]


def outcome(dataset, model, bits, gain, task=None, level=None, looping=None, before=1.0):
    """A cell whose entropy falls by ``bits`` and whose accuracy rises by ``gain``; with loops the fall is ``looping``."""
    one = cell(dataset, task or dataset, level, model)
    sides = {
        side: {
            "entropy_bits": {"mean_without_loops": start - fall, "mean": start - (fall if looping is None else loops)}
        }
        for side, start, fall, loops in (("before", before, 0, 0), ("after", before, bits, looping))
    }
    metrics = {**sides, "delta": {"points": gain, "newcombe": [gain - 5, gain + 5]}, "mcnemar": {"p_exact": 0.5}}
    return Outcome(one, (metrics,), {})


PAIRS = [("a", 0.5, 30), ("b", 0.2, 10), ("c", 0.4, 35), ("d", -0.1, 5)]


def test_correlation_is_scipys():
    found = correlation([outcome(name, "m", bits, gain) for name, bits, gain in PAIRS])
    r, p = stats.pearsonr([0.5, 0.2, 0.4, -0.1], [30, 10, 35, 5])
    assert (found["n"], found["clusters"]) == (4, 4)
    assert (found["pearson_r"], found["pearson_p"]) == (round(r, 4), round(p, 4))
    z, half = np.arctanh(r), 1.959963984540054 / (4 - 3) ** 0.5
    assert (found["low"], found["high"]) == (round(np.tanh(z - half), 4), round(np.tanh(z + half), 4))
    assert found["cluster_low"] <= found["pearson_r"] <= found["cluster_high"]
    assert correlation([outcome(name, "m", bits, gain) for name, bits, gain in PAIRS[:3]])["pearson_r"] is None
    assert correlation([outcome("a", f"m{n}", 0.5, 30) for n in range(9)])["pearson_r"] is None
    assert correlation([])["n"] == 0


def test_levels_and_loops_do_not_make_a_correlation():
    whole = [outcome(name, "m", bits, gain, looping=3 * gain / 100) for name, bits, gain in PAIRS]
    levels = [outcome(f"a-L{n}", "m", 0.5, 30, task="a", level=str(n)) for n in "123"]
    found = correlation([*whole, *levels])
    assert found == correlation(whole), "a level's answers are those of its task"
    assert found["with_loops_r"] == 1.0
    assert found["pearson_r"] < 1
    nothing = outcome("e", "m", 0.3, 20)
    nothing.metrics[0]["before"]["entropy_bits"]["mean_without_loops"] = None
    assert correlation([*whole, nothing])["n"] == 4, "a cell where every answer loops has no entropy without loops"


def test_two_tasks_are_no_clusters_to_resample():
    found = correlation(
        [
            outcome(name, model, bits, gain)
            for name, model, bits, gain in (
                ("a", "m", 0.5, 30),
                ("a", "n", 0.2, 10),
                ("b", "m", 0.4, 35),
                ("b", "n", -0.1, 5),
            )
        ]
    )
    assert found["pearson_r"] is not None
    assert (found["clusters"], found["cluster_low"], found["cluster_high"]) == (2, None, None)


def test_the_command_writes_its_tables(run, capsys):
    out = {name: run / f"{name}.csv" for name in ("ladder", "prompts", "correlation", "recovery", "spread")}
    flags = [word for name, path in out.items() for word in (f"--{name}", str(path))]
    table = ["--cell-table", str(run / "cells.tsv"), "--results", str(run / "results")]
    assert main(["summary", *table, *flags]) == 0
    assert "ladder: 4 cells; prompts: 11" in capsys.readouterr().out
    assert len(list(csv.DictReader(out["prompts"].open()))) == 11


def test_a_broken_file_is_named(run):
    write_json(run / "results" / "arithmetic" / "tiny-0.2m" / "ladder.json", {"rungs": {"bare": 3}})
    with pytest.raises(UserError, match=r"ladder\.json: key 'rungs.bare' is missing or of the wrong kind"):
        ladder_rows(outcomes_of(run), run / "results")


def test_the_optimised_prompt_is_held_against_the_best_rung_on_dev(run):
    """The best rung is chosen on dev though another is better on test, and the pairs are counted item by item."""
    home = run / "results" / "sentiment" / "tiny-0.2m"
    after = [json.loads(line) for line in (home / "seed0" / "after.jsonl").read_text().splitlines()]
    ids, right = [row["id"] for row in after], [row["id"] for row in after if row["correct"]]
    wrong = [one for one in ids if one not in right]

    def rung(answers, on_dev):
        counts = {"correct": len(answers), "n": len(ids), "levels": {}, "right": answers}
        return counts | {"dev": {"correct": on_dev, "n": 10, "levels": {}, "right": [f"d{n}" for n in range(on_dev)]}}

    chosen = right[: len(right) // 2] + wrong[:3]
    told = {
        "likelihood": rung(chosen, 9),
        "examples": rung(ids, 8),
        "few_shot": rung([], 9),
        "bare": {"left_out": "long"},
    }
    write_json(home / "ladder.json", {"rungs": told})
    (row,) = (row for row in ladder_rows(outcomes_of(run), run / "results") if row["dataset"] == "sentiment")
    lost, won = 3, len(right) - len(right) // 2
    assert (row["best_rung"], row["best_rung_dev"], row["best"]) == (
        "likelihood",
        90.0,
        100 * len(chosen) / len(ids),
    )
    assert row["over_best"] == pytest.approx(100 * (won - lost) / len(ids))
    assert row["over_best_low"] < row["over_best"] < row["over_best_high"]
    assert row["p_best"] == mcnemar(lost, won)[0] == row["p_best_holm"]
    page = run / "page.html"
    assert (
        main(["report", "--cell-table", str(run / "cells.tsv"), "--results", str(run / "results"), "--out", str(page)])
        == 0
    )
    text = page.read_text()
    assert f"{row['best']:.2f} <small>likelihood</small>" in text
    assert f"{row['over_best']:+.2f} <small>[{row['over_best_low']:+.1f}, {row['over_best_high']:+.1f}]</small>" in text
    assert text.count(">no rungs</td>") == 10  # the other cells that ran; one did not
    told["likelihood"]["right"] = [*told["likelihood"]["right"][1:], "stranger"]
    write_json(home / "ladder.json", {"rungs": told})
    with pytest.raises(UserError, match=r"ladder\.json: rung likelihood answered other items than the cell sentiment"):
        ladder_rows(outcomes_of(run), run / "results")


def test_points_are_rounded_once():
    """16 of 84 are 19.048 points: +19.0, where 19.05 would print as +19.1; the file has two decimals."""
    row = {"dataset": "imdb", "model": "m", "n": 84, "before": 100 * 53 / 84, "optimised": 100 * 69 / 84, "p": 0.004}
    row |= {f"gain{end}": 100 * 16 / 84 for end in ("", "_low", "_high")}
    shown = [field.strip() for field in ladder_markdown([row]).splitlines()[2].split("|")]
    assert shown[4:7] == ["63.1", "82.1", "+19.0 [+19.0, +19.0]"]
    (kept,) = two_decimals([row])
    assert (kept["gain"], kept["before"], kept["n"], kept["p"]) == (19.05, 63.1, 84, 0.004)


def test_limits_stand_side_by_side(run):
    counts = {"ended": 1, "loops": 1, "cut": 1}
    sides = {"before": [{"limit": 32, "correct": 1, **counts}], "after": [{"limit": 32, "correct": 3, **counts}]}
    path = run / "results" / "sentiment" / "tiny-0.2m" / "seed0" / "limits.json"
    write_json(path, {"n": 4, **sides})
    (row,) = limit_rows(outcomes_of(run), run / "results")
    assert (row["limit"], row["before"], row["after"], row["gain_points"], row["after_cut"]) == (
        32,
        25.0,
        75.0,
        50.0,
        1,
    )
    write_json(path, {"n": 2, **sides})
    with pytest.raises(UserError, match=r"limits\.json: before and after: the same limits, and no more right answers"):
        limit_rows(outcomes_of(run), run / "results")


def test_the_ladder_and_the_limits_are_drawn(run):
    rungs = {
        "dataset": "a",
        "model": "m",
        "n": 10,
        "majority": 50.0,
        "likelihood": 80.0,
        "before": 20.0,
        "optimised": 70.0,
    }
    drawn = ladder([rungs | {"best": 80.0, "best_rung": "likelihood"}, rungs | {"dataset": "b"}])
    (axes,) = drawn.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a · m (n 10)", "b · m (n 10)"]
    marks = {line.get_label(): line.get_xdata()[0] for line in axes.get_lines()}
    assert (marks["majority"], marks["likelihood"], marks["before (the text prompt)"], marks["optimised"]) == (
        50,
        80,
        20,
        70,
    )
    assert sum(line.get_label() == "best on dev" for line in axes.get_lines()) == 1
    rows = [
        {"dataset": "a", "model": "m", "seed": seed, "limit": limit, "n": 4, "before": 25.0, "after": 50.0 + seed}
        | {"before_ended": 1, "after_ended": 3}
        for seed in (0, 1)
        for limit in (32, 64)
    ]
    (axes,) = limits(rows).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert lines["after: right"] == [50.0, 50.0]
    assert lines["after: ended by itself"] == [75.0, 75.0]
    assert ladder([]).axes
    assert limits([]).axes
