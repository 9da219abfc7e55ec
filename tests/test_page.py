"""The report page: what it says, that it is safe, and how it looks to a browser."""

import json
import re
import shutil
from pathlib import Path

import pytest
from reporting_samples import DEMO_SIZES, demo_cells, graded, make_run

from contracts import write_jsonl
from embedgrad.cli import main
from reporting.cells import read_cells
from reporting.page.examples import COUNT, LIMIT, marked

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Half of the cells missing, one with a hostile and an endless answer, one without answers."""
    folder = tmp_path_factory.mktemp("run")
    cells = read_cells(demo_cells(folder / "cells.tsv"))
    half = [cell.name for cell in cells if cell.model == "tiny-0.8m"]
    results = make_run(folder / "results", cells, DEMO_SIZES, skip=half)
    hostile = results / "parity" / "tiny-0.2m" / "seed0" / "after.jsonl"
    rows = [json.loads(line) for line in hostile.read_text().splitlines()]
    rows[0] |= graded(rows[0]["id"], output=SCRIPT)
    rows[1] |= graded(rows[1]["id"], output="x" * 10_000)
    write_jsonl(hostile, rows)
    (results / "sentiment" / "tiny-0.2m" / "seed0" / "after.jsonl").write_text("")
    (results / "audit.csv").write_text(f'check,sentence\n"{SCRIPT}",a|b\n')
    return folder


@pytest.fixture(scope="module")
def page(run):
    out = run / "report.html"
    table = ["--cell-table", str(run / "cells.tsv"), "--results", str(run / "results")]
    assert main(["report", *table, "--out", str(out)]) == 0
    return out


def test_missing_cells_are_named_with_the_command_that_makes_them(page):
    text = page.read_text()
    assert "6 of 12 cells are missing" in text
    assert text.count('class="missing" colspan') == 6
    assert "cells=parity/tiny-0.8m" in text


def test_a_cell_without_outputs_says_so(page):
    assert "No examples: the cell has no outputs." in page.read_text()


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


def test_each_cell_shows_its_examples(page):
    assert page.read_text().count("<article>") == 5 * COUNT


def test_differences_are_marked_word_by_word():
    left, right = marked("the answer is 7", "the answer is 42")
    assert [piece for piece, changed in left if changed] == ["7"]
    assert [piece for piece, changed in right if changed] == ["42"]
    assert "".join(piece for piece, _ in right) == "the answer is 42"
    assert marked("", "a") == ([], [("a", True)])


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    quiet = ("background-networking", "component-update", "sync", "gpu", "quic")
    for flag in ("--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield window
    window.quit()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_scrolling_sideways_errors_or_requests(browser, page, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    wide, shown = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= shown
    assert browser.get_log("browser") == []
    requests = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [one["params"]["request"]["url"] for one in requests if one["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith("data:")] == [page.as_uri()]


def test_pressing_a_heading_sorts(browser, page):
    browser.get(page.as_uri())
    column = "[...document.querySelectorAll('#table tbody tr')].map((row) => row.cells[4]?.dataset.value)"
    browser.execute_script("document.querySelectorAll('#table thead button')[4].click()")
    found = [float(value) for value in browser.execute_script(f"return {column}") if value]
    assert found == sorted(found)
    assert len(found) == 6
    browser.execute_script("document.querySelectorAll('#table thead button')[4].click()")
    assert [float(value) for value in browser.execute_script(f"return {column}") if value] == found[::-1]
