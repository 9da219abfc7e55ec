"""Parts of the report page, and results that nobody's run has written; whole pages are in tests/system/reporting."""

import random

import pytest
from forged import QUICK, of_one_cell, told_of
from prompt_reports import anchoring_report
from reporting_samples import DEMO_SIZES, demo_cells, make_run

from embedgrad.cli import main
from embedgrad.reporting.page.examples import marked
from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import write_json


@pytest.fixture(scope="module")
def one_cell(tmp_path_factory):
    return of_one_cell(tmp_path_factory.mktemp("one"))


def test_differences_are_marked_word_by_word():
    left, right = marked("the answer is 7", "the answer is 42")
    assert [piece for piece, changed in left if changed] == ["7"]
    assert [piece for piece, changed in right if changed] == ["42"]
    assert "".join(piece for piece, _ in right) == "the answer is 42"
    assert marked("", "a") == ([], [("a", True)])


@pytest.mark.parametrize(("name", "value"), QUICK, ids=str)
def test_a_forged_result_is_one_error_that_names_it_or_is_told_on_the_page(one_cell, name, value, tmp_path, capsys):
    told_of(one_cell, name, value, tmp_path, capsys)


def test_an_analysis_of_any_seed_is_drawn_and_cells_without_one_are_named(tmp_path):
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    one, other = [cell for cell in cells if cell.dataset in ("sentiment", "parity") and cell.model == "tiny-0.2m"]
    table = tmp_path / "cells.tsv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text(
        "".join(
            [
                lines[0],
                *(line for line in lines if line.split("\t")[0] in (one.dataset, other.dataset) and one.model in line),
            ]
        )
    )
    results = make_run(tmp_path / "results", [one, other], DEMO_SIZES, seeds=(0, 1))
    write_json(results / one.dataset / one.model / "seed1" / "anchoring.json", anchoring_report(random.Random(0)))
    page = tmp_path / "page.html"
    flags = ["--cell-table", str(table), "--results", str(results), "--seeds", "0,1"]
    assert main(["report", *flags, "--out", str(page)]) == 0
    text = page.read_text()
    assert 'alt="Semantic anchoring"' in text
    assert f"Not computed: {other.name}." in text
