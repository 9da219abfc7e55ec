"""The figures of anchoring and LAT over many cells: nothing overlaps, what is missing is named, the same bytes each time."""

import random
from pathlib import Path

import pytest
from drawn import apart, texts
from prompt_reports import anchoring_report, lat_report
from reporting_samples import cell

from embedgrad.reporting.figures.drawing import save, styled
from embedgrad.reporting.figures.lat import lat
from embedgrad.reporting.figures.prompt import anchoring
from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import write_json

PAPER = Path(__file__).resolve().parents[3] / "config" / "cells.tsv"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder, chance = tmp_path_factory.mktemp("runs"), random.Random(0)
    found = {
        "one": ([cell()], 29),
        "twelve": ([cell(model=f"tiny-{n}") for n in range(12)], 5),
        "paper": (read_cells(PAPER), 49),
    }
    for name, (cells, layers) in found.items():
        for place, one in enumerate(cells):
            if place == 3 or one.model.startswith("llama"):
                continue
            for seed in (0, 1) if place == 4 else (0,):
                home = folder / name / one.dataset / one.model / f"seed{seed}"
                write_json(home / "anchoring.json", anchoring_report(chance))
                write_json(home / "lat.json", lat_report(chance, layers))
    return {name: (cells, folder / name) for name, (cells, _) in found.items()}


@pytest.mark.parametrize("name", ["twelve", "paper"])
@pytest.mark.parametrize("make", [anchoring, lat])
def test_no_text_overlaps_or_leaves_the_page(runs, name, make):
    with styled():
        apart(make(*runs[name]))


@pytest.mark.parametrize("make", [anchoring, lat])
def test_more_than_twelve_cells_are_grouped_and_missing_ones_named(runs, make):
    with styled():
        figure = make(*runs["paper"])
        told = [text for text, _ in texts(figure)]
        assert len(make(*runs["twelve"]).axes) == (24 if make is lat else 12)
    panels = 2 if make is lat else 1  # a panel per reader
    assert len(figure.axes) == 7 * panels
    assert told.count("missing: not run yet") == panels
    assert any(text.endswith(f"missing: {runs['paper'][0][3].dataset}") for text in told)


def test_the_same_numbers_are_the_same_bytes(runs, tmp_path):
    cells, folder = runs["one"]
    for draw in (anchoring, lat):
        for turn in ("a", "b"):
            save(draw(cells, folder, [0]), tmp_path / f"{turn}.png", tmp_path / f"{turn}.pdf")
        for kind in ("png", "pdf"):
            assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
