from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from budget import times
from hypothesis import given, settings
from hypothesis import strategies as st
from reporting_samples import cell

from embedgrad.reporting.printed.audit import HALF_UP, TRUNCATION, audit, blocks, count_of, fitting_sizes, write_audit
from embedgrad.reporting.results.cells import read_cells

PAPER = Path(__file__).resolve().parents[4] / "config" / "cells.tsv"


@pytest.fixture(scope="module")
def findings():
    return audit(read_cells(PAPER))


@settings(max_examples=times(300))
@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0, 1, 2]))
def test_a_printed_count_is_found_again(pair, decimals):
    k, n = pair
    for rule, rounding in ((HALF_UP, ROUND_HALF_UP), (TRUNCATION, ROUND_DOWN)):
        exact = Decimal(100 * k) / Decimal(n)
        printed = str(exact.quantize(Decimal(1).scaleb(-decimals), rounding))
        found = count_of(printed, n, rule)
        assert found is not None
        again = (Decimal(100 * found) / Decimal(n)).quantize(Decimal(1).scaleb(-decimals), rounding)
        assert str(again) == printed


@settings(max_examples=times(200))
@given(st.integers(0, 10000), st.integers(1, 300))
def test_count_of_equals_trying_all_counts(hundredths, n):
    percent = f"{Decimal(hundredths) / 100:.2f}"
    for rule, rounding in ((HALF_UP, ROUND_HALF_UP), (TRUNCATION, ROUND_DOWN)):
        all_counts = [
            k
            for k in range(n + 1)
            if (Decimal(100 * k) / Decimal(n)).quantize(Decimal("0.01"), rounding) == Decimal(percent)
        ]
        assert count_of(percent, n, rule) == (all_counts[-1] if all_counts else None)


def test_sizes_and_counts_of_the_paper():
    found = {block.dataset: block for block in blocks(read_cells(PAPER))}
    sizes = {"math500": 251, "imdb": 84, "medd": None, "causal_judgment": 95}
    sizes |= dict(zip((f"math500-L{level}" for level in range(1, 6)), (22, 45, 53, 64, 67), strict=True))
    assert {name: block.n for name, block in found.items()} == sizes
    counts = {name: [block.counts(one) for one in block.cells] for name, block in found.items() if block.n}
    assert counts["math500"] == [(37, 148), (141, 164)]
    assert counts["math500-L1"] == [(2, 19), (16, 21)]
    assert counts["math500-L2"] == [(7, 37), (29, 37)]
    assert counts["math500-L3"] == [(12, 42), (33, 41)]
    assert counts["math500-L4"] == [(9, 37), (37, 41)]
    assert counts["math500-L5"] == [(7, 23), (27, 29)]
    assert counts["imdb"] == [(17, 29), (50, 60), (58, 66), (48, 54), (59, 65)]
    assert counts["causal_judgment"] == [(48, 58), (52, 60), (59, 62), (66, 68)]


def failing(findings, check) -> dict[str, str]:
    return {finding.where: finding.value for finding in findings if finding.check == check and not finding.holds}


def test_findings_of_the_paper(findings):
    assert failing(findings, "test size") == {"medd": ""}
    assert failing(findings, "delta") == {
        "causal_judgment/qwen2.5-0.5b-instruct": "+10.52",
        "causal_judgment/qwen2.5-3b-instruct": "+8.42",
    }
    assert failing(findings, "level sum") == {
        "math500/qwen2.5-math-1.5b/after": "158",
        "math500/qwen2.5-math-7b/before": "142",
        "math500/qwen2.5-math-7b/after": "169",
    }
    assert set(failing(findings, "can be significant")) == {
        "math500-L1/qwen2.5-math-7b",
        "math500-L4/qwen2.5-math-7b",
        "math500-L5/qwen2.5-math-7b",
        "causal_judgment/qwen2.5-7b-instruct",
        "causal_judgment/qwen2.5-14b-instruct",
    }
    detectable = {finding.where: finding.value for finding in findings if finding.check == "detectable gain"}
    assert detectable["math500-L1"] == "more than 20"
    assert [detectable[name] for name in ("math500-L2", "imdb", "causal_judgment", "math500")] == [
        "18.2",
        "13.5",
        "12.7",
        "7.9",
    ]
    assert len([finding for finding in findings if finding.check == "delta"]) == 26


def test_truncation_is_tried_where_rounding_fails():
    # 2/3 and 1/3 printed as 66.66 and 33.33 are cut off, not rounded.
    assert 3 not in fitting_sizes(["66.66", "33.33"])
    block = blocks([cell(paper=("33.33", "66.66", "+33.33"))])[0]
    assert (block.n, block.rounding, block.counts(block.cells[0])) == (3, TRUNCATION, (1, 2))


def test_a_table_that_prints_nothing_has_no_findings(tmp_path):
    assert audit([cell()]) == []
    write_audit([], tmp_path / "audit.csv", tmp_path / "audit.md")
    assert (tmp_path / "audit.csv").read_text() == "check,where,holds,value,sentence\n"


def test_files(findings, tmp_path):
    write_audit(findings, tmp_path / "audit.csv", tmp_path / "audit.md")
    assert len((tmp_path / "audit.csv").read_text().splitlines()) == len(findings) + 1
    text = (tmp_path / "audit.md").read_text()
    assert text.count("**!**") == sum(not finding.holds for finding in findings)
    assert "but +10.58 is printed" in text
