"""Cells that a probe does not fit: each probe's command says so in its result, and before it loads a model."""

import copy

import pytest
from reporting_samples import DEMO_SIZES, demo_cells, make_run

from embedgrad.cli import main
from embedgrad.probes.applies import result_of
from embedgrad.reporting.probes import PROBES
from embedgrad.reporting.results.cells import read_cells
from embedgrad_core import Layout, Slot
from embedgrad_core.files import read_json, write_json, write_jsonl

WORDS = ["positive", "negative"]


def rows(count, name):
    return [
        {
            "id": f"{name}{place}",
            "input": f"film {place}",
            "target": WORDS[place % 2],
            "answer": WORDS[place % 2],
            "level": None,
        }
        for place in range(count)
    ]


@pytest.fixture
def cell(tmp_path):
    """Four test items, enough others, and the cell of a run with as many; nowhere is a model or a prompt."""
    for name, count in (("train", 16), ("dev", 8), ("test", 4)):
        write_jsonl(tmp_path / f"{name}.jsonl", rows(count, name))
    read = [row | {"before": [-1.0, -2.0], "after": [-2.0, -1.0]} for row in rows(4, "test")]
    write_json(tmp_path / "likelihood.json", {"labels": WORDS, "tokens": [1, 1], "items": read})
    table = demo_cells(tmp_path / "cells.tsv")
    cells = [one for one in read_cells(table) if one.dataset == "sentiment"]
    for seed, name in enumerate(("run", "other")):
        make_run(tmp_path / name, cells, DEMO_SIZES | {"sentiment": {None: 4}}, seed=seed)
        write_json(tmp_path / name / "data/sentiment/split.json", {"split": {"seed": seed}})
    return tmp_path


def arguments(name):
    model = ["--model", "nowhere"]
    prompt = [*model, "--prompt-file", "nowhere.safetensors"]
    named = ["--cell-table", "cells.tsv", "--dataset", "sentiment", "--model", "tiny-0.2m", "--seed", "0"]
    home = "run/sentiment/tiny-0.2m/seed0"
    grade, test, items = ["--task", "imdb"], ["--data", "test.jsonl"], ["--train", "train.jsonl", "--dev", "dev.jsonl"]
    given = {
        "calibration": [
            "--likelihood",
            "likelihood.json",
            "--train",
            "train.jsonl",
            *test,
            *model,
            "--rewrite",
            "Good?",
        ],
        "shuffled": [*prompt, *grade, *items, *test, "--before", "none.jsonl", "--after", "none.jsonl"],
        "trajectory": [*model, "--prompt", "Good?", *grade, *items, *test],
        "contamination": [*model, *test],
        "robustness": [*prompt, *grade, *test],
        "variance": [*named, "--results", "run", "other"],
        "transfer_matrix": [*prompt, "--asked", "imdb", "8", "test.jsonl", "--asked", "mood", "8", "train.jsonl"],
        "cost": [*named, "--metrics", f"{home}/metrics.json", "--history", f"{home}/optimize.jsonl"],
    }
    return ["probe", name, *given[name], "--out", "found.json"]


@pytest.mark.parametrize("name", PROBES)
def test_four_test_items_are_too_few(name, cell, monkeypatch):
    monkeypatch.chdir(cell)
    assert main(arguments(name)) == 0
    found = read_json("found.json")
    assert found["applies"] is False
    few = (
        "two tasks of one model with 8 test items, and there is 1"
        if name == "transfer_matrix"
        else "4 test items are too few"
    )
    assert few in found["reason"]
    assert [path.name for path in cell.iterdir() if "state" in path.name] == []


def test_open_answers_have_no_labels_to_choose_among(cell, monkeypatch, capsys):
    """The other probes have something to say of open answers: what they write is graded, what they were trained on is read."""
    monkeypatch.chdir(cell)
    write_json("likelihood.json", {"labels": [], "tokens": [], "items": []})
    assert main(arguments("calibration")) == 0
    assert read_json("found.json")["reason"] == "the answers are open: there are no labels to choose among"
    assert "does not apply: the answers are open" in capsys.readouterr().out


def test_a_model_without_a_chat_template_has_no_chat_layout(tokenizer):
    """It has no optimised prompt in that layout either; a probe that starts from the text says why."""
    bare = copy.copy(tokenizer)
    bare.chat_template = None
    found = result_of("trajectory", lambda: {"slot": Slot.place(bare, Layout(kind="chat"), "Good?")})
    assert found["applies"] is False
    assert "no chat template" in found["reason"]
