"""Tables over the analyses of all cells, and the ladder of baselines."""

import csv
import json

import pytest
from reporting_samples import DEMO_SIZES, demo_cells, make_run
from scipy import stats

from contracts import Item, UserError, write_json
from embedgrad.cli import main
from embedgrad.commands.ladder import format_examples, rungs
from embedgrad_core import Layout, decode
from reporting.analyses import correlation, ladder_rows, prompt_rows, seed_rows
from reporting.cells import read_cells
from reporting.collected import collect
from reporting.statistics import crossed_bootstrap


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


def test_gain_over_seeds_resamples_both(tmp_path):
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    folder = make_run(tmp_path / "results", cells, DEMO_SIZES, seeds=(0, 1, 2))
    rows = seed_rows(collect(cells, folder), folder)
    assert len(rows) == 12
    assert {row["seeds"] for row in rows} == {3}
    for row in rows:
        assert row["low"] <= row["gain_points"] <= row["high"]
        assert row["seed_min"] <= row["gain_points"] <= row["seed_max"]


def test_crossed_bootstrap_is_wider_than_pooling_when_items_matter():
    # Items decide everything and all seeds agree: more seeds must not narrow the interval, as pooling would.
    items = [1.0] * 20 + [0.0] * 20
    one, many = crossed_bootstrap([items]), crossed_bootstrap([items] * 10)
    assert one[0] == many[0] == 50
    assert many[2] - many[1] == pytest.approx(one[2] - one[1], abs=3)
    expected = 2 * 1.96 * 100 * (0.25 / 40) ** 0.5
    assert one[2] - one[1] == pytest.approx(expected, abs=4)


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


def test_examples_carry_the_format_and_no_answer_of_their_own():
    train = [Item(f"i{n}", f"question {n}", f"answer {n}", f"{n}") for n in range(9)]
    text = format_examples(train, 3, "\n")
    assert text == format_examples(train[::-1], 3, "\n")
    pairs = [block.split("\n") for block in text.split("\n\n")]
    assert len(pairs) == 3
    assert all(question[-1] != answer[-1] for question, answer in pairs)


def test_every_rung_decodes_what_its_text_would(frozen, items):
    import torch

    seen = {}
    for name, slot, vectors in rungs(frozen, Layout(), "step by step.", "a\nYes\n\nb\nNo"):
        seen[name] = decode(frozen, slot, vectors, items[:2], max_new_tokens=6)[0]
        ids = torch.tensor([slot.text_path_ids(items[0].input)])
        out = frozen.network.generate(
            ids, max_new_tokens=6, do_sample=False, eos_token_id=list(frozen.stop_ids()), pad_token_id=0
        )
        assert seen[name].output == frozen.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True), name
    assert list(seen) == ["no_prompt", "bare", "chat", "few_shot"]
