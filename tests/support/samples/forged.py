"""Results that no step of a run writes, in the results of one cell."""

import json
import shutil

from reporting_samples import DEMO_SIZES, count, demo_cells, graded, make_run

from embedgrad.cli import main
from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import read_jsonl, write_jsonl

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"

_VALUES = {
    "before.jsonl": [{"output": None}, {"output": 3}, {"id": ["a"]}, {"correct": "x"}, {"correct": None}, {"stop": 1}],
    "seed0/after.jsonl": [{"output": 3}, {"id": ["a"]}, {"correct": 1}],
    "seed0/anchoring.json": [1, {}, {"summary": 1, "round_trip": {}}],
    "seed0/lat.json": [[], {"layers": [], "summary": {}}, {"layers": "x", "summary": {}}],
    "seed0/entropy.json": [[], {"summary": {"prompt": {"mean": "x"}, "text": {"mean": 1}}}],
    "seed0/optimize.run.json": [[], 1],
    "ladder.json": [[], {"rungs": {"bare": {"correct": 1, "n": 0, "levels": {}}}}],
    "recovery.json": [[], {"own": {}, "protocols": 3}],
}
# Those whose page is drawn fast, or not at all, are for the unit tier.
QUICK = [
    ("before.jsonl", {"output": None}),
    ("seed0/lat.json", []),
    *(("ladder.json", one) for one in _VALUES["ladder.json"]),
]
FORGED = [pair for pair in ((name, one) for name, values in _VALUES.items() for one in values) if pair not in QUICK]


def of_one_cell(folder):
    """The table of one cell, and its run."""
    cells = demo_cells(folder / "cells.tsv")
    lines = cells.read_text().splitlines()
    cells.write_text("\n".join([lines[0], next(line for line in lines if line.startswith("sentiment\t")), ""]))
    make_run(folder / "results", read_cells(cells), DEMO_SIZES)
    return folder


def told_of(one_cell, name, value, tmp_path, capsys):
    """Page and summary of a run with that value: one error line that names its file, or the page tells of it."""
    shutil.copytree(one_cell, tmp_path / "run")
    cells, folder = tmp_path / "run/cells.tsv", tmp_path / "run/results"
    path = folder / "sentiment/tiny-0.2m" / name
    if name.endswith(".jsonl"):
        rows = [{key: kept for key, kept in row.items() if key != "check"} for row in read_jsonl(path)]
        rows[0] = {key: kept for key, kept in (rows[0] | value).items() if kept is not None}
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(json.dumps(value))
    tables = ("ladder", "prompts", "correlation", "spread", "recovery")
    outputs = [word for table in tables for word in (f"--{table}", str(tmp_path / table))]
    told = ""
    for command, out in (("report", ["--out", str(tmp_path / "page.html")]), ("summary", outputs)):
        status = main([command, "--cell-table", str(cells), "--results", str(folder), "--seeds", "0", *out])
        error = capsys.readouterr().err
        assert status in (0, 2)
        assert error.count("\n") == (status == 2)
        told += error
    told += (tmp_path / "page.html").read_text() if (tmp_path / "page.html").exists() else ""
    assert path.name in told


def damaged_run(folder):
    """The results of the demo's cells: half of them missing, one with a hostile and an endless answer, one without answers."""
    cells = read_cells(demo_cells(folder / "cells.tsv"))
    half = [cell.name for cell in cells if cell.model == "tiny-0.8m"]
    results = make_run(folder / "results", cells, DEMO_SIZES, skip=half)
    hostile = results / "parity" / "tiny-0.2m" / "seed0" / "after.jsonl"
    rows = [json.loads(line) for line in hostile.read_text().splitlines()]
    rows[0] |= graded(rows[0]["id"], output=SCRIPT)
    rows[1] |= graded(rows[1]["id"], output="x" * 10_000)
    write_jsonl(hostile, rows)
    count(results, next(cell for cell in cells if cell.name == "parity/tiny-0.2m"))
    (results / "sentiment" / "tiny-0.2m" / "seed0" / "after.jsonl").unlink()
    (results / "audit.csv").write_text(f'check,sentence\n"{SCRIPT}",a|b\n')
    return results


def page_of(run):
    """The report page of what lies in a folder as :func:`damaged_run` leaves it."""
    out = run / "report.html"
    table = ["--cell-table", str(run / "cells.tsv"), "--results", str(run / "results")]
    assert main(["report", *table, "--out", str(out)]) == 0
    return out
