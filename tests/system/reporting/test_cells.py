"""The figures of whole runs: nothing overlaps, what is missing is named, the files are the same bytes each time."""

import struct
from pathlib import Path

import pytest
from drawn import apart, texts
from reporting_samples import DEMO_SIZES, PAPER_SIZES, cell, count, demo_cells, make_run

from embedgrad.reporting.figures.accuracy import before_after, training_curves
from embedgrad.reporting.figures.drawing import save, styled
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
from embedgrad_core.files import read_jsonl, write_json, write_jsonl

PAPER = Path(__file__).resolve().parents[3] / "config" / "cells.tsv"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    demo, paper = read_cells(demo_cells(folder / "cells.tsv")), read_cells(PAPER)
    make_run(folder / "demo", demo, DEMO_SIZES)
    make_run(folder / "paper", paper, PAPER_SIZES, skip=("imdb/llama-3.1-8b-instruct", "medd/qwen2.5-3b-instruct"))
    write_json(folder / "paper" / "imdb" / "llama-3.1-8b-instruct" / "seed0" / "skipped.json", {"reason": "gated"})
    several = [cell(model="a"), cell(model="b")]
    make_run(folder / "several", several, {"sums": {None: 20}}, seeds=(0, 1, 2))
    large = [cell(model=f"m{k}") for k in range(5)]
    make_run(folder / "large", large, {"sums": {None: 20}})
    for one in large:
        path = folder / "large" / "sums" / one.model / "seed0" / "optimize.jsonl"
        # Eq. 6 sums over target tokens: worked solutions cost hundreds or thousands of nats.
        write_jsonl(path, [row | {"dev_loss": 1000 * row["dev_loss"]} for row in read_jsonl(path)])
        count(folder / "large", one)
    return {
        "large": (collect(large, folder / "large"), folder / "large"),
        "demo": (collect(demo, folder / "demo"), folder / "demo"),
        "paper": (collect(paper, folder / "paper", [0]), folder / "paper"),
        "several": (collect(several, folder / "several"), folder / "several"),
    }


@pytest.mark.parametrize("name", ["demo", "paper", "large"])
@pytest.mark.parametrize("kind", ["before_after", "training_curves"])
def test_no_text_overlaps_or_leaves_the_page(runs, name, kind):
    outcomes, folder = runs[name]
    with styled():
        figure = before_after(outcomes) if kind == "before_after" else training_curves(outcomes, folder)
        assert len(apart(figure)) > len(outcomes)


def test_what_is_missing_is_said_and_what_is_there_is_drawn(runs):
    outcomes, folder = runs["paper"]
    with styled():
        dots, curves = before_after(outcomes), training_curves(outcomes, folder)
        told = [text for text, _ in texts(dots)]
        panels = [text for text, _ in texts(curves)]
    assert told.count("missing: gated") == 1
    assert told.count("missing: not run yet") == 1
    assert sum(text.startswith("n = ") for text in told) == 24
    assert panels.count("missing: gated") == 1
    # 26 cells: a hollow mark for each printed number; 24 cells of ours: two marks, two intervals, one link.
    lines = dots.axes[0].get_lines()
    assert sum(line.get_markerfacecolor() == "none" for line in lines) == 52
    assert len(lines) == 52 + 24 * 5


def test_files_are_the_same_bytes_each_time(runs, tmp_path):
    outcomes, folder = runs["several"]
    made = []
    for turn in ("one", "two"):
        files = [tmp_path / turn / f"{name}.{kind}" for name in ("dots", "curves") for kind in ("png", "pdf")]
        save(before_after(outcomes), *files[:2])
        save(training_curves(outcomes, folder), *files[2:])
        made.append([file.read_bytes() for file in files])
    assert made[0] == made[1]
    for data in (made[0][0], made[0][2]):
        assert data.startswith(b"\x89PNG")
        pixels_a_metre = struct.unpack(">II", data[data.index(b"pHYs") + 4 :][:8])
        assert min(pixels_a_metre) * 0.0254 >= 150
    for data in (made[0][1], made[0][3]):
        assert data.startswith(b"%PDF")
        assert b"CreationDate" not in data
