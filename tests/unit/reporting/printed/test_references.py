"""What others measured on the untouched models: read, held against the printed "after", and shown in Table 2."""

import csv
import io

import pytest
from places import ROOT
from reporting_samples import PAPER_SIZES, make_run

from embedgrad.cli import main
from embedgrad.reporting.claims.measured import COMPATIBLE, FAILS, HOLDS, INCONCLUSIVE, NOT_TESTABLE
from embedgrad.reporting.claims.references import check_references
from embedgrad.reporting.printed.references import COLUMNS, difference, read_references, zero_shot
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
from embedgrad.reporting.table2 import as_csv, markdown
from embedgrad.reporting.verdicts.two_studies import difference_of_proportions
from embedgrad_core.files import UserError

PATH = ROOT / "config" / "references.tsv"
PAPER = read_cells(ROOT / "config" / "cells.tsv")


def test_every_reference_is_of_a_printed_cell_and_says_where_it_stands():
    cells = {(cell.dataset, cell.model) for cell in PAPER}
    found = read_references(PATH)
    assert found.keys() <= cells
    rows = [one for references in found.values() for one in references]
    assert all(one.source.startswith("https://") and one.protocol for one in rows)
    lines = list(csv.DictReader(PATH.read_text(encoding="utf-8").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    # The number stands in the words that were read at the source, rounded at most.
    for line in lines:
        words = line["quoted"].replace(" . ", ".")
        value = float(line["percent"])
        numbers = [word.strip("',;:|()[]") for word in words.replace(",", " ").replace("'", " ").split()]
        known = [float(word) for word in numbers if word.replace(".", "", 1).isdigit()]
        assert any(abs(value - scale * one) < 0.01 for one in known for scale in (1, 100)), line


def test_the_printed_after_against_the_untouched_weights():
    found = {one.id: one for one in check_references(read_references(PATH), PAPER, [])}
    small, large = (found[f"over-untouched math500/qwen2.5-math-{size}"] for size in ("1.5b", "7b"))
    # 58.96 of 251 beside 61.8 of 500: no gain over the model without a template, and no proof of a loss.
    assert (small.printed, small.from_table, small.table_verdict) == ("> 61.8", "58.96", INCONCLUSIVE)
    low, high = difference_of_proportions((148, 251), (309, 500), 0.05)
    assert low < 0 < high
    assert (large.printed, large.table_verdict) == ("> 72.20", INCONCLUSIVE)
    # 29 of 84, where others read one word of the same model.
    assert found["over-untouched imdb/qwen2.5-0.5b-instruct"].table_verdict == FAILS
    # Nobody says how many items a level had.
    level = found["over-untouched math500-L1/qwen2.5-math-1.5b"]
    assert level.table_verdict == NOT_TESTABLE
    assert "unknown" in level.note
    # Three examples in the prompt are no zero-shot reference.
    assert not [name for name in found if "causal_judgment" in name]


def test_a_run_is_held_against_them_too(tmp_path):
    folder = make_run(tmp_path, PAPER, PAPER_SIZES)
    outcomes = collect(PAPER, folder)
    references = read_references(PATH)
    row = next(one for one in check_references(references, PAPER, outcomes) if one.id.endswith("math-1.5b"))
    metrics = next(o.metrics[0] for o in outcomes if (o.cell.dataset, o.cell.model) == ("math500", "qwen2.5-math-1.5b"))
    best = zero_shot(references["math500", "qwen2.5-math-1.5b"])[0]
    low, high = difference(metrics["after"]["correct"], metrics["n"], best)
    assert (float(row.run_low), float(row.run_high)) == pytest.approx((61.8 + low, 61.8 + high), abs=0.01)
    assert row.run_verdict in (HOLDS, FAILS, INCONCLUSIVE)
    assert row.run_verdict != COMPATIBLE
    assert float(row.untouched) == pytest.approx(100 * metrics["before"]["accuracy"], abs=0.01)


def test_table_2_shows_the_range_where_something_is_known(tmp_path):
    outcomes = collect(PAPER, make_run(tmp_path, PAPER, PAPER_SIZES))
    references = read_references(PATH)
    text = markdown(outcomes, references)
    assert "untouched, by others %" in text
    assert "21.2 to 61.8 (5 numbers)" in text
    assert "untouched, by others %" not in markdown(outcomes)
    rows = list(csv.DictReader(io.StringIO(as_csv(outcomes, references))))
    known = {f"{row['dataset']}/{row['model']}": row["untouched_best"] for row in rows if row["untouched_best"]}
    assert known["math500/qwen2.5-math-7b"] == "72.20"
    assert "medd/qwen2.5-0.5b-instruct" not in known
    # Nothing is known of other models: no empty columns.
    assert "untouched_best" not in as_csv(outcomes, {("math500", "another"): references["math500", "qwen2.5-math-7b"]})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a\tmath500\tmany\t500\t0\tgreedy\tp\ts\tq", "references.tsv:2: percent, n and shots must be numbers"),
        ("a\tmath500\t101\t500\t0\tgreedy\tp\ts\tq", "references.tsv:2: percent must be 0 to 100"),
        ("a\tmath500\t50\t0\t0\tgreedy\tp\ts\tq", "n at least 1"),
        ("a\tmath500\t50\t500\t0\tbeam\tp\ts\tq", "decoding one of greedy, sampled, likelihood, unstated"),
        ("a\tmath500\t50", "references.tsv:2: 3 fields"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, reason):
    path = tmp_path / "references.tsv"
    path.write_text("\t".join(COLUMNS) + "\n" + line + "\n")
    with pytest.raises(UserError, match=reason):
        read_references(path)


def test_the_commands_take_them(tmp_path, capsys):
    flags = ["--paper-table", str(ROOT / "config/cells.tsv"), "--claims", str(ROOT / "config/claims.tsv")]
    assert main(["audit", *flags, "--references", str(PATH), "--out-folder", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "exceeds the best of untouched weights in 0 of 3 cells that others measured" in told
    assert "over-untouched math500/qwen2.5-math-1.5b" in (tmp_path / "claims.csv").read_text()
