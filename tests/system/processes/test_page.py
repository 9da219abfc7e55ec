"""The report page in a browser: how it looks, and that nothing stored in it runs."""

import pytest
from chromium import requests_of
from forged import damaged_run, page_of
from reporting_samples import DEMO_SIZES, compared, demo_cells, make_run, write_compared

from embedgrad.cli import main
from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import read_json, read_jsonl, write_json, write_jsonl


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Half of the cells missing, one with a hostile and an endless answer, one without answers; other methods on two cells."""
    folder = tmp_path_factory.mktemp("run")
    results = damaged_run(folder)
    write_compared([*compared("imdb"), *compared("medd")], results)
    return folder


@pytest.fixture(scope="module")
def page(run):
    return page_of(run)


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_scrolling_sideways_errors_or_requests(browser, page, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    wide, shown = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= shown
    assert browser.get_log("browser") == []
    assert requests_of(browser, page) == []


def test_pressing_a_heading_sorts(browser, page):
    browser.get(page.as_uri())
    column = "[...document.querySelectorAll('#table tbody tr')].map((row) => row.cells[4]?.dataset.value)"
    browser.execute_script("document.querySelectorAll('#table thead button')[4].click()")
    found = [float(value) for value in browser.execute_script(f"return {column}") if value]
    assert found == sorted(found)
    assert len(found) == 6
    browser.execute_script("document.querySelectorAll('#table thead button')[4].click()")
    assert [float(value) for value in browser.execute_script(f"return {column}") if value] == found[::-1]


# Each tries to run a script from where it is stored: as an element, an attribute, a link, a closed style or script, a template.
VECTORS = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    '<svg onload="window.hacked = 1"></svg>',
    "</script><script>window.hacked = 1</script>",
    "</style><script>window.hacked = 1</script>",
    "--><script>window.hacked = 1</script>",
    '" autofocus onfocus="window.hacked = 1" x="',
    "' onmouseover='window.hacked = 1' x='",
    "<a href='javascript:window.hacked = 1'>x</a>",
    "<iframe srcdoc='<script>parent.hacked = 1</script>'></iframe>",
    "<meta http-equiv=refresh content='0;url=javascript:window.hacked=1'>",
    "{{ 7 * 7 }}{% raise %}${7*7}",
    "\u202e<b>\u2066 \x00 \ud800",
]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A run with a vector wherever text from outside is stored: answers, questions, reasons, provenance, tables, the command."""
    folder = tmp_path_factory.mktemp("stored")
    cells = read_cells(demo_cells(folder / "cells.tsv"))
    results = make_run(folder / "results", cells, DEMO_SIZES, skip=[cells[-1].name])
    home = results / cells[0].dataset / cells[0].model
    for path in (home / "before.jsonl", home / "seed0" / "after.jsonl"):
        rows = read_jsonl(path)
        for row, vector in zip(rows, VECTORS * 3, strict=False):
            row |= {"output": vector, "extracted": vector if row["extracted"] else None, "reason": vector}
        write_jsonl(path, rows)
    for cell in cells[:-1]:
        path = results / cell.dataset / cell.model / "seed0" / "metrics.json"
        metrics = read_json(path)
        metrics["verdict"] |= {"reason": " ".join(VECTORS[:-1])}
        metrics["prompt"] |= {"stopped": VECTORS[0], "layout": {"separator": VECTORS[6], "suffix": VECTORS[1]}}
        write_json(path, metrics)
        run = {"model": {"name": VECTORS[3]}, "versions": {VECTORS[4]: VECTORS[5]}, VECTORS[6]: VECTORS[7]}
        write_json(path.with_name("after.run.json"), run)
    gone = results / cells[-1].dataset / cells[-1].model / "seed0"
    write_json(gone / "skipped.json", {"reason": " ".join(VECTORS[:-1])})
    quoted = ",".join('"' + vector.replace('"', '""') + '"' for vector in VECTORS[:-1])
    for name in ("audit", "claims", "ladder", "prompts", "spread"):
        (results / f"{name}.csv").write_text(f"{quoted}\n{quoted}\n", encoding="utf-8")
    out = folder / "report.html"
    table = ["--cell-table", str(folder / "cells.tsv"), "--results", str(results)]
    assert main(["report", *table, "--out", str(out), "--command", f"snakemake {VECTORS[0]}"]) == 0
    return out


@pytest.mark.faults
def test_no_stored_script_runs_in_a_browser(browser, stored):
    browser.get(stored.as_uri())
    browser.get_log("browser")
    browser.get(stored.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    browser.execute_script("document.querySelectorAll('#table thead button')[4].click()")
    browser.execute_script("document.querySelectorAll('*').forEach((one) => one.dispatchEvent(new Event('mouseover')))")
    hacked, scripts, frames, links = browser.execute_script(
        "return [window.hacked === undefined, document.scripts.length, frames.length, "
        "[...document.links].filter((one) => one.protocol === 'javascript:').length]"
    )
    assert (hacked, scripts, frames, links) == (True, 1, 0, 0)
    assert browser.get_log("browser") == [], "neither an error nor a violation of the policy"
    text = browser.execute_script("return document.body.innerText")
    assert "<script>window.hacked = 1</script>" in text, "shown as what it is"
    assert "{{ 7 * 7 }}" in text


def test_the_policy_allows_no_script_but_the_page_s_own(browser, stored, tmp_path):
    """The second wall: a script that got into the markup all the same would not run."""
    text = stored.read_text(encoding="utf-8").replace("</main>", "<script>window.hacked = 1</script></main>")
    (tmp_path / "breached.html").write_text(text, encoding="utf-8")
    browser.get((tmp_path / "breached.html").as_uri())
    assert browser.execute_script("return window.hacked === undefined")
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))
