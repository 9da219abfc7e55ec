import csv
import io
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from reporting_samples import DEMO_SIZES, cell, demo_cells, graded, item, make_run, write_cells
from rich.cells import cell_len

from embedgrad.cli import main
from embedgrad.reporting.analyses import seed_rows
from embedgrad.reporting.metrics import build_metrics
from embedgrad.reporting.page.collect import table as page_table
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
from embedgrad.reporting.statistics import holm
from embedgrad.reporting.table2 import as_csv, latex, markdown, numbers
from embedgrad.reporting.typeset import latex_escape, markdown_table, short
from embedgrad_core.files import UserError, markdown_escape, read_json, sheet_cell, write_json

PAPER = Path(__file__).resolve().parents[3] / "config" / "cells.tsv"
HOSTILE = "| a `b` <script>alert(1)</script> \\end{table} $x^2$ & 100 % #1_{y}~\n\x1b[31m" + "k" * 10_000


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    cells = read_cells(demo_cells(folder / "cells.tsv"))
    return make_run(folder / "run", cells, DEMO_SIZES), cells


@pytest.fixture
def small(tmp_path):
    cells = [cell(model="a"), cell(model="b")]
    return make_run(tmp_path / "run", cells, {"sums": {None: 20}}), cells


def pipes(text: str) -> list[list[str]]:
    """Every table line of a Markdown text, split at the bars that are not escaped."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


def test_every_cell_has_its_line_in_order(demo):
    folder, cells = demo
    outcomes = collect(cells, folder, [0])
    rows = numbers(outcomes)
    assert [(row["dataset"], row["model"]) for row in rows] == [(cell.dataset, cell.model) for cell in cells]
    assert all(row["status"] == "done" for row in rows)
    for row, one in zip(rows, cells, strict=True):
        metrics = read_json(folder / one.dataset / one.model / "seed0" / "metrics.json")
        assert row["before_correct"] == metrics["before"]["correct"]
        assert row["after_wilson_low"] == metrics["after"]["wilson"][0]
        assert row["delta_newcombe_high"] == metrics["delta"]["newcombe"][1]
        assert row["before_loop"] == metrics["before"]["failures"]["loop"]
    assert [row["p_holm"] for row in rows] == holm([row["p_exact"] for row in rows])


def test_csv_reads_back_with_full_precision(demo):
    folder, cells = demo
    outcomes = collect(cells, folder)
    back = list(csv.DictReader(io.StringIO(as_csv(outcomes), newline="")))
    for text, row in zip(back, numbers(outcomes), strict=True):
        for key, value in row.items():
            if isinstance(value, float):
                assert float(text[key]) == value
            else:
                assert text[key] == ("" if value is None else str(value))


def test_markdown_lines_up_and_leaves_out_what_the_paper_does_not_print(demo):
    folder, cells = demo
    text = markdown(collect(cells, folder, [0]))
    main = text.split("\n\n")[1].splitlines()
    assert len(main) == 2 + 12
    assert len({cell_len(line) for line in main}) == 1
    assert "paper" not in main[0]
    assert "verdict" not in main[0]
    assert max(map(len, main)) <= 150
    assert re.search(r"\| arithmetic +\| arithmetic +\| tiny-0.2m \|", main[2])


def test_no_cell_at_all_is_a_table_too(tmp_path):
    cells = [cell(model="a"), cell(model="b")]
    outcomes = collect(cells, tmp_path / "nothing")
    assert as_csv(outcomes).count("missing") > 2
    assert latex(outcomes).count("missing") == 2
    text = markdown(outcomes)
    assert text.count("missing: not run yet") == 2
    assert "2 of 2 cells are missing" in text


def test_several_seeds_show_mean_range_and_count(tmp_path):
    cells = [cell(model="a")]
    folder = make_run(tmp_path / "run", cells, {"sums": {None: 40}}, seeds=(0, 1, 2))
    row = numbers(collect(cells, folder))[0]
    found = [read_json(folder / "sums" / "a" / f"seed{k}" / "metrics.json") for k in (0, 1, 2)]
    accuracies = [metrics["after"]["accuracy"] for metrics in found]
    assert row["seeds"] == 3
    assert row["statistics_seed"] == 0
    assert row["p_exact"] == found[0]["mcnemar"]["p_exact"]
    assert row["after_accuracy_mean"] == pytest.approx(sum(accuracies) / 3)
    assert (row["after_accuracy_min"], row["after_accuracy_max"]) == (min(accuracies), max(accuracies))
    text = markdown(collect(cells, folder))
    assert "3 seeds)" in text
    # One gain, one interval, one p, wherever the cell is shown.
    whole = collect(cells, folder)
    (spread,) = seed_rows(whole)
    ladder_like = (row["gain_points"], row["gain_low"], row["gain_high"])
    assert [round(value, 2) for value in ladder_like] == [spread["gain_points"], spread["low"], spread["high"]]
    assert row["gain_of"] == "mixed model"
    assert row["gain_points"] == pytest.approx(sum(metrics["delta"]["points"] for metrics in found) / 3)
    assert f"{row['gain_points']:+.2f} [{row['gain_low']:+.1f}, {row['gain_high']:+.1f}]" in text
    (line,) = page_table(whole, "snakemake")
    assert (line["points"], line["low"], line["high"], line["p"]) == (*ladder_like, row["gain_p"])
    assert (line["after"]["k"], line["after"]["percent"]) == ("3 seeds", pytest.approx(100 * sum(accuracies) / 3))
    (alone,) = numbers(collect(cells, folder, [0]))
    assert (alone["gain_of"], alone["gain_p"]) == ("items of one seed", found[0]["mcnemar"]["p_exact"])
    assert seed_rows(collect(cells, folder, [0])) == [], "one seed has no spread"
    part = collect(cells, folder, [0, 1, 2, 3])
    assert numbers(part)[0]["status"] == "partial"
    assert "other seeds missing: not run yet" in markdown(part)


def test_seeds_that_disagree_are_counted(small):
    folder, cells = small
    outcomes = collect(cells[:1], folder)
    words = ["partly", "not", "partly"]
    metrics = tuple({**outcomes[0].metrics[0], "verdict": {"word": word, "reason": "."}} for word in words)
    mixed = type(outcomes[0])(cells[0], metrics, {})
    assert numbers([mixed])[0]["verdict"] == "2× partly, 1× not"


def test_hostile_text_breaks_no_table(small):
    folder, cells = small
    write_json(folder / "sums" / "c" / "seed0" / "skipped.json", {"reason": HOSTILE})
    # Outputs never reach the table; a run made of such outputs must be as good as any other.
    rows = [graded(str(k), "wrong", output=HOSTILE, extracted=HOSTILE) for k in range(20)]
    metrics = build_metrics(cell(model="d"), 0, _items(), rows, rows, split_sha256=_split_of(folder, cells[0]))
    write_json(folder / "sums" / "d" / "seed0" / "metrics.json", metrics)
    outcomes = collect([*cells, cell(model="c"), cell(model="d")], folder, [0])
    text = markdown(outcomes)
    assert "<script" not in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 250
    tables = pipes(text)
    assert {len(line) for line in tables[:6]} == {10}
    tex = latex(outcomes)
    assert r"\end{table}" not in tex.replace(r"\end{table*}", "")
    assert "<" not in tex
    assert r"\textbackslash{}" in tex


def _items():
    from embedgrad_core.files import Item

    return [Item(**item(str(k))) for k in range(20)]


def _split_of(folder, one) -> str:
    return read_json(folder / one.dataset / one.model / "seed0" / "metrics.json")["split"]["sha256"]


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("a_b & 5 %", r"a\_b \& 5 \%"),
        ("#$~^{}", r"\#\$\textasciitilde{}\textasciicircum{}\{\}"),
        ("\\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("+9.2 [-1, +2]", "$+$9.2 {[}$-$1, $+$2{]}"),
        ("qwen2.5-math-7b", "qwen2.5-math-7b"),
        ("L5→0 – ×", r"L5$\to$0 -- $\times$"),
        ("<a|b>", r"\textless{}a\textbar{}b\textgreater{}"),
        ("悲\x07", "??"),
    ],
)
def test_latex_escapes(text, tex):
    assert latex_escape(text) == tex


def test_strangers_text_is_no_link_and_no_formula(small):
    folder, _ = small
    reason = '=HYPERLINK("http://evil","x")|![t](http://evil/a.png) [c](javascript:alert(1)) \u202e'
    write_json(folder / "sums" / "c" / "seed0" / "skipped.json", {"reason": reason})
    outcomes = collect([cell(model="a"), cell(model="c")], folder, [0])
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown(outcomes))
    assert "<table>" in html
    assert not set(re.findall(r"<(\w+)", html)) & {"a", "img", "s", "em", "code"}
    assert "\u202e" not in html
    back = csv.DictReader(io.StringIO(as_csv(outcomes), newline=""))
    assert [row["missing_reason"] for row in back] == ["", f"'{reason}"]
    for value in (-3.5, "-3.5", "+40.00", None, 7, "-inf", "gated"):
        assert sheet_cell(value) == value
    for value in ("=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1"):
        assert sheet_cell(value) == f"'{value}"


def test_markdown_escapes_and_widths():
    assert markdown_escape("a|b<i>\n`c` \\ &") == "a\\|b&lt;i&gt; \\`c\\` \\\\ &amp;"
    linking = "![t](http://evil) [c][d] ~~x~~ __b__ $x$ www.evil me@evil \u202e"
    escaped = markdown_escape(linking)
    assert escaped == (
        "\\!\\[t\\](http\\://evil) \\[c\\]\\[d] \\~\\~x\\~\\~ \\_\\_b\\_\\_ \\$x\\$ www\\.evil me\\@evil \\\\u202e"
    )
    assert markdown_escape("+5.0 [-1.4, +23.4] [1](x) causal_judgment") == "+5.0 [-1.4, +23.4] [1\\](x) causal_judgment"
    assert short("a\x1b[0m  b\n" + "c" * 100, 10) == "a [0m b c…"
    lines = markdown_table(["a", "b"], [["悲", "1"], ["x", "22"]], {"a"}).splitlines()
    assert lines == ["| a   |   b |", "| --- | --: |", "| 悲  |   1 |", "| x   |  22 |"]


def _metrics(folder, model="a"):
    return folder / "sums" / model / "seed0" / "metrics.json"


def test_metrics_cut_short_are_named(small):
    folder, cells = small
    text = _metrics(folder).read_text()
    _metrics(folder).write_text(text[: len(text) // 2])
    with pytest.raises(UserError, match=r"sums/a/seed0/metrics\.json: not valid JSON"):
        collect(cells, folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda found: found.pop("mcnemar"), "key mcnemar is missing"),
        (lambda found: found["before"]["failures"].pop("loop"), r"key before\.failures\.loop is missing"),
        (lambda found: found["after"].update(wilson=[0.1]), r"key after\.wilson is missing or of the wrong kind"),
        (lambda found: found.update(n="20"), "key n is missing or of the wrong kind"),
        (lambda found: found["cell"].update(model="b"), "metrics of model 'b', not 'a'"),
        (lambda found: found["cell"].update(seed=1), "metrics of seed 1, not 0"),
        (lambda found: found.update(paper={"before": "1.00"}), "other published numbers"),
        (lambda found: found["split"].update(sha256="0" * 64), "rests on another split of sums"),
        (lambda found: found.update(n=21), "of different runs"),
    ],
)
def test_metrics_of_another_kind_are_refused(small, change, told):
    folder, cells = small
    found = read_json(_metrics(folder))
    change(found)
    write_json(_metrics(folder), found)
    with pytest.raises(UserError, match=told):
        collect(cells, folder)


def test_not_an_object_and_a_bad_marker(small):
    folder, cells = small
    _metrics(folder).write_text("[1, 2]\n")
    with pytest.raises(UserError, match=r"metrics\.json: key \(all\)"):
        collect(cells, folder)
    _metrics(folder).unlink()
    write_json(_metrics(folder).with_name("skipped.json"), {"why": "?"})
    with pytest.raises(UserError, match=r"skipped\.json: needs a key 'reason'"):
        collect(cells, folder)


def test_a_mix_of_protocols_is_refused_with_the_cells_named(small):
    folder, cells = small
    found = read_json(_metrics(folder, "b"))
    found["run"]["optimize"]["protocol"] = "b" * 64
    write_json(_metrics(folder, "b"), found)
    with pytest.raises(UserError, match=r"a+: sums/a/seed0; b+: sums/b/seed0"):
        collect(cells, folder)
    del found["run"]["optimize"]["protocol"]
    write_json(_metrics(folder, "b"), found)
    assert len(collect(cells, folder)) == 2


def test_nothing_is_overwritten_when_writing_fails(small, tmp_path, monkeypatch):
    folder, cells = small
    table = write_cells(
        tmp_path / "cells.tsv", [[c.dataset, c.task, "", c.model, "", "", "", "0.01", "10"] for c in cells]
    )
    (tmp_path / "table2.md").write_text("old")
    monkeypatch.setattr(
        "embedgrad.reporting.table2.markdown", lambda outcomes, **more: outcomes[0].metrics[0]["no such key"]
    )
    with pytest.raises(KeyError):
        main(
            ["table2", "--cell-table", str(table), "--results", str(folder), "--markdown", str(tmp_path / "table2.md")]
        )
    assert (tmp_path / "table2.md").read_text() == "old"
    assert list(tmp_path.glob(".table2*")) == []
