"""The report page: what it says, that it is safe, and how it looks to a browser."""

import re

import pytest
from forged import FORGED, SCRIPT, damaged_run, of_one_cell, page_of, told_of
from reporting_samples import DEMO_SIZES, demo_cells, make_run

from embedgrad.cli import main
from embedgrad.reporting.page.collect import TABLES, tables
from embedgrad.reporting.page.examples import COUNT, LIMIT
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.tables import write_table
from embedgrad_core.files import UserError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Half of the cells missing, one with a hostile and an endless answer, one without answers."""
    folder = tmp_path_factory.mktemp("run")
    damaged_run(folder)
    return folder


@pytest.fixture(scope="module")
def page(run):
    return page_of(run)


def test_missing_cells_are_named_with_the_command_that_makes_them(page):
    text = page.read_text()
    assert "6 of 12 cells are missing" in text
    assert text.count('<td class="missing">missing: ') == 6
    assert "<summary>Missing: 6 of 12 cells</summary>" in text
    assert "cells=parity/tiny-0.8m" in text


def test_a_cell_without_outputs_says_so(page):
    assert re.search("No examples: .*after.jsonl is not there", page.read_text())


def test_model_text_and_tables_are_escaped_and_cut(page):
    text = page.read_text()
    assert SCRIPT not in text
    assert text.count("<script") == 1
    assert "&lt;script&gt;" in re.sub(r"</?mark[^>]*>", "", text)
    assert "x" * (LIMIT + 1) not in text
    assert "8,000 more characters" in re.sub(r"</?mark[^>]*>", "", text)
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "'unsafe-inline'" not in text


def test_equal_results_give_equal_bytes(run, page):
    again = run / "again.html"
    table = ["--cell-table", str(run / "cells.tsv"), "--results", str(run / "results")]
    assert main(["report", *table, "--out", str(again)]) == 0
    assert again.read_bytes() == page.read_bytes()


def test_a_table_that_changed_since_it_was_written_is_refused(tmp_path, capsys):
    """One byte: 12.5 would have read 92.5."""
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    results = make_run(tmp_path / "results", cells[:2], DEMO_SIZES)
    table = ["--cell-table", str(tmp_path / "cells.tsv"), "--results", str(results)]
    for name, _, _ in TABLES:
        write_table([{"dataset": "a", "before": 12.5}], ("dataset", "before"), results / name)
    assert main(["report", *table, "--out", str(tmp_path / "report.html")]) == 0
    for name, _, _ in TABLES:
        path = results / name
        sound = path.read_bytes()
        path.write_bytes(sound.replace(b"12.5", b"92.5"))
        with pytest.raises(UserError, match=rf"{name}: not the table that {name}\.sha256 certifies"):
            tables(results)
        path.write_bytes(sound)
    path.write_bytes(sound.replace(b"12.5", b"92.5"))
    assert main(["report", *table, "--out", str(tmp_path / "again.html")]) == 2
    assert f"{name}: not the table that {name}.sha256 certifies" in capsys.readouterr().err
    for text in (b"", b"a,b\n\xff"):
        (results / "audit.csv.sha256").unlink(missing_ok=True)
        (results / "audit.csv").write_bytes(text)
        assert main(["report", *table, "--out", str(tmp_path / "again.html")]) == 2
        assert "audit.csv: not a table" in capsys.readouterr().err


def test_a_number_of_many_digits_is_shown_with_five_and_any_other_text_as_it_is(tmp_path):
    fields = {"0.1683865067420698": "0.16839", "4.857558130463566e-13": "4.8576e-13", "795764930408.5184": "7.9576e+11"}
    fields |= {
        text: text
        for text in ("-36.1461", "12.50", "2.13.0", "12345678", "3.12.1+1234567", "1e-12", "0.12345678 s", "")
    }
    write_table([{"field": text} for text in fields], ("field",), tmp_path / "recovery.csv")
    (table,) = tables(tmp_path)
    assert [row[0] for row in table["rows"]] == list(fields.values())
    assert "0.1683865067420698" in (tmp_path / "recovery.csv").read_text()


def test_each_cell_shows_its_examples(page):
    assert page.read_text().count("<article>") == 5 * COUNT


@pytest.fixture(scope="module")
def one_cell(tmp_path_factory):
    return of_one_cell(tmp_path_factory.mktemp("one"))


@pytest.mark.parametrize(("name", "value"), FORGED, ids=str)
def test_a_forged_result_is_one_error_that_names_it_or_is_told_on_the_page(one_cell, name, value, tmp_path, capsys):
    told_of(one_cell, name, value, tmp_path, capsys)
