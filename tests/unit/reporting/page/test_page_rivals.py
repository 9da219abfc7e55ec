"""The page's section on other methods: what it says, that it comes from the sealed table, and that it is not there without one."""

import re

import pytest
from reporting_samples import DEMO_SIZES, SEARCHED, compared, demo_cells, make_run, write_compared

from embedgrad.cli import main
from embedgrad.reporting.page.rivals import section, sentence
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.compared import read_compared
from embedgrad_core.files import UserError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    cells = read_cells(demo_cells(folder / "cells.tsv"))
    make_run(folder / "results", cells, DEMO_SIZES, skip=[cell.name for cell in cells[1:]])
    return folder


def page(run):
    table = ["--cell-table", str(run / "cells.tsv"), "--results", str(run / "results")]
    assert main(["report", *table, "--out", str(run / "report.html")]) == 0
    return (run / "report.html").read_text(encoding="utf-8")


def test_the_table_read_back_is_the_one_that_was_counted(tmp_path):
    rows = compared()
    write_compared(rows, tmp_path)
    (found,) = read_compared(tmp_path)
    assert [{key: value for key, value in row.items() if value is not None} for row in found] == [
        {key: value for key, value in row.items() if value is not None} for row in rows
    ]


def test_the_sentence_says_what_can_be_told_apart_and_what_the_control_gave():
    """Of 9 methods only lora (10 more), random (18 fewer), autoprompt (22), few_shot_4 (20) and self_refine_1 (10) differ."""
    both = [compared("imdb"), compared("medd")]
    found = sentence(both)
    assert found.startswith(
        "Of 18 comparisons with EmbedGrad on 2 cells of 40 test items: 2 above and 8 below after Holm"
    )
    assert "8 cannot be told apart" in found
    assert found.endswith(
        "rate was chosen as the others' were, by the same loop as the run's own: imdb/tiny: null control equal to the run's "
        "EmbedGrad at the configured rate (losses on dev 0 % apart; vectors 0 % apart); medd/tiny: null control equal to the run's "
        "EmbedGrad at the configured rate (losses on dev 0 % apart; vectors 0 % apart)."
    )
    # That the two cannot be told apart by their answers, one more and one fewer of forty, is no control passed.
    check = {"equal": False, "loss": 0.031, "vectors": None, "note": "vectors of another shape"}
    apart = compared(searched={**SEARCHED, "check": check})
    assert (
        "; APART in 1 of 1 cells, where no difference can be laid to the methods: imdb/tiny: null control APART from the run's "
        "EmbedGrad at the configured rate (losses on dev 3.1 % apart; vectors of another shape)." in sentence([apart])
    )
    assert "EmbedGrad stands at a rate that was not searched as the others' were" in sentence([compared(searched={})])
    # The rows that train nothing are no methods: one comparison is left.
    assert sentence([compared(methods=["lora"])]).startswith("Of 1 comparison with EmbedGrad on 1 cell of 40 ")


def test_the_page_has_table_figures_and_sentence_where_the_run_has_rivals(run):
    without = page(run)
    assert not {"Other methods", 'id="rivals"', "rivals.csv", ".rivals"} & set(
        re.findall(r"Other methods|id=.rivals.|\.rivals|rivals\.csv", without)
    )
    path = write_compared([*compared("imdb"), *compared("medd")], run / "results")
    text = page(run)
    part = text[text.index('<section id="rivals"') : text.index("</section>", text.index('<section id="rivals"'))]
    assert part.count("<table") == 2
    assert part.count('src="data:image/svg+xml,') == 6
    assert part.count('<tr class="own"><td class="">embedgrad</td>') == 2
    assert re.search(r'<td class="">lora</td><td class="number" data-value="40">40/40</td>', part)
    assert "Above EmbedGrad: lora +25.0 [" in part
    assert text.index('href="#rivals"') < text.index("<main>")
    path.unlink()
    path.with_name("rivals.csv.sha256").unlink()
    assert page(run) == without


def test_a_changed_table_is_refused(run, capsys):
    path = write_compared(compared(), run / "results")
    path.write_text(path.read_text().replace("40,1.0,", "41,1.0,", 1))
    table = ["--cell-table", str(run / "cells.tsv"), "--results", str(run / "results")]
    assert main(["report", *table, "--out", str(run / "again.html")]) == 2
    assert "rivals.csv: not the table that rivals.csv.sha256 certifies" in capsys.readouterr().err
    path.unlink()
    path.with_name("rivals.csv.sha256").unlink()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda text: text.replace("imdb,tiny,embedgrad", "imdb,tiny,another"),
            "one row of each method and one of EmbedGrad",
        ),
        (lambda text: text.replace("imdb,tiny,gcg", "imdb,tiny,lora"), "one row of each method"),
        (
            lambda text: text.replace("weights,modules,40,40", "weights,modules,40,x"),
            r"rivals\.csv:\d+: column 'correct'",
        ),
        (lambda text: text.replace("weights,modules,40,40", "weights,modules,40,41"), r"rivals\.csv:\d+: column 'n'"),
        (lambda text: text.replace("weights,modules,40,40", "unknown,modules,40,40"), "column 'family'"),
        (lambda text: text.replace("accuracy", "share", 1), r"rivals\.csv:2: column 'accuracy'"),
        (lambda text: text.replace("p_holm", "q", 1), "column 'p_holm'"),
        (lambda text: text + "a,b\n", r"2 fields, the header has \d+"),
    ],
)
def test_a_table_that_is_none_is_one_error(tmp_path, change, told):
    path = write_compared(compared(), tmp_path)
    path.with_name("rivals.csv.sha256").unlink()
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=told):
        section(tmp_path)


def test_text_of_the_table_is_escaped(run):
    path = write_compared(compared(), run / "results")
    path.with_name("rivals.csv.sha256").unlink()
    path.write_text(path.read_text().replace("autoprompt", "<script>alert(1)</script>"))
    assert page(run).count("<script") == 1
    path.unlink()
