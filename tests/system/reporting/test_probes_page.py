"""The page's section of probes in a browser: all eight, on cells of which some have no labels."""

import pytest
from drawn import apart
from probe_samples import RESULTS
from reporting_samples import DEMO_SIZES, cell, demo_cells, make_run

from embedgrad.cli import main
from embedgrad.reporting.probes import PROBES
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.probes import Probed
from embedgrad_core.files import write_json

OPEN = "the answers are open: there are no labels whose likelihood could be asked for"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A run of twelve cells with every probe."""
    folder = tmp_path_factory.mktemp("run")
    cells = read_cells(demo_cells(folder / "cells.tsv"))
    make_run(folder / "results", cells, DEMO_SIZES)
    for name, make in RESULTS.items():
        found = {"applies": True} | make()
        for of in cells:
            without = name in ("calibration", "shuffled") and of.task == "arithmetic"
            told = {"probe": name} | ({"applies": False, "reason": OPEN} if without else found)
            write_json(folder / f"results/{of.dataset}/{of.model}/seed0/probes/{name}.json", told)
    table = ["--cell-table", str(folder / "cells.tsv"), "--results", str(folder / "results")]
    assert main(["report", *table, "--out", str(folder / "report.html")]) == 0
    return folder / "report.html"


@pytest.mark.parametrize("name", RESULTS)
def test_no_text_of_a_figure_of_twelve_cells_lies_on_another(name):
    one = RESULTS[name]()
    apart(PROBES[name].figure([Probed(cell(f"data-{place}", "data"), 0, one) for place in range(12)]))


@pytest.mark.parametrize("width", [1280, 390])
def test_every_probe_fits_the_page_and_its_table_stays_readable(browser, page, width):
    browser.set_window_size(width, 900)
    browser.get(page.as_uri())
    wide, shown = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= shown
    titles = browser.execute_script("return [...document.querySelectorAll('#probes h3')].map((one) => one.id)")
    assert titles == [f"probe-{name}" for name in RESULTS]
    boxes = browser.execute_script("""
        return [...document.querySelectorAll('#probes .scroll')].map((box) => ({
            high: box.getBoundingClientRect().height,
            rows: [...box.querySelectorAll('tbody tr')].map((row) => row.getBoundingClientRect().height),
            // Of each cell: text, and the lines that it is broken into.
            cells: [...box.querySelectorAll('tbody td')].map((cell) => {
                const range = document.createRange();
                range.selectNodeContents(cell);
                const lines = new Set([...range.getClientRects()].map((one) => Math.round(one.top)));
                return [cell.textContent, lines.size];
            }),
            notes: [...box.querySelectorAll('thead th')].map((one) => one.textContent).indexOf('note'),
            columns: box.querySelectorAll('thead th').length,
        }))""")
    assert len(boxes) == len(RESULTS)
    for box in boxes:
        assert box["high"] <= 600, "a long table scrolls in itself"
        assert max(box["rows"]) < 100
        broken = [text for text, lines in box["cells"] if lines > 1 and "[" in text]
        assert not broken, "a number and its interval stay on a line"
        assert box["notes"] in (-1, box["columns"] - 1), "words come last"
    images = browser.execute_script(
        "return [...document.querySelectorAll('#probes img')].map((one) => [one.naturalWidth, one.width])"
    )
    assert len(images) == len(RESULTS)
    assert all(natural > 0 and 0 < drawn <= width for natural, drawn in images)
