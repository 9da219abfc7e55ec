"""Tables over the analyses of all cells, and the ladder of baselines."""

import csv
import json

import pytest
from reporting_samples import DEMO_SIZES, demo_cells, make_run
from scipy import stats

from embedgrad.cli import main
from embedgrad.reporting.analyses import correlation, limit_rows, prompt_rows
from embedgrad.reporting.figures.ladder import ladder, limits
from embedgrad.reporting.ladder import ladder_rows
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
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
    assert rows[1]["optimised"] == round(100 * metrics["after"]["accuracy"], 2)


def test_prompt_rows_take_what_is_there(run):
    rows = prompt_rows(outcomes_of(run), run / "results")
    assert len(rows) == 11
    with_trip = [row for row in rows if "drift" in row]
    assert [(row["dataset"], row["tokens_kept"], row["dev_snapped"]) for row in with_trip] == [("sentiment", 7, 10.0)]


def test_correlation_is_scipys():
    rows = [{"entropy_change_bits": x, "gain_points": y} for x, y in ((-0.5, 30), (-0.2, 10), (-0.4, 35), (0.1, 5))]
    found = correlation(rows)
    r, p = stats.pearsonr([0.5, 0.2, 0.4, -0.1], [30, 10, 35, 5])
    assert (found["n"], found["pearson_r"], found["pearson_p"]) == (4, round(r, 4), round(p, 4))
    assert found["low"] < found["pearson_r"] < found["high"]
    assert correlation(rows[:3])["pearson_r"] is None
    assert correlation([rows[0]] * 9)["pearson_r"] is None
    assert correlation([])["n"] == 0


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
        round(100 * len(chosen) / len(ids), 2),
    )
    assert row["over_best"] == round(100 * (won - lost) / len(ids), 2)
    assert row["over_best_low"] < row["over_best"] < row["over_best_high"]
    assert row["p_best"] == mcnemar(lost, won)[0] == row["p_best_holm"]
    told["likelihood"]["right"] = [*told["likelihood"]["right"][1:], "stranger"]
    write_json(home / "ladder.json", {"rungs": told})
    with pytest.raises(UserError, match=r"ladder\.json: rung likelihood answered other items than the cell sentiment"):
        ladder_rows(outcomes_of(run), run / "results")


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
