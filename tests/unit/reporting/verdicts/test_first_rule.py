from pathlib import Path

import pytest
from budget import times
from hypothesis import given, settings
from hypothesis import strategies as st

from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.statistics import ALPHA, POWER, Paired, best_case_power, mcnemar, wilson
from embedgrad.reporting.verdicts.first_rule import NOT, NOT_TESTABLE, PARTLY, REPLICATED, WORDS, verdict

PAPER = Path(__file__).resolve().parents[4] / "config" / "cells.tsv"


def paper(before: str, after: str) -> dict[str, str]:
    return {"before": before, "after": after, "delta": "+0.00"}


@pytest.mark.parametrize(
    ("pairs", "printed", "word", "told"),
    [
        # IMDB, 3B: 50 -> 60 of 84 printed.
        ((48, 2, 12, 22), ("59.52", "71.43"), REPLICATED, "all three"),
        ((20, 2, 12, 50), ("59.52", "71.43"), PARTLY, "before of 59.52 is outside 18.0 to 36.5"),
        ((20, 2, 40, 22), ("59.52", "71.43"), PARTLY, "gain of 11.91 is outside"),
        ((45, 5, 13, 21), ("59.52", "71.43"), PARTLY, "not significant"),
        ((45, 5, 6, 28), ("59.52", "71.43"), NOT, "beyond our interval"),
        ((40, 10, 12, 22), ("59.52", "71.43"), NOT, "nearer to none"),
        ((40, 20, 2, 22), ("59.52", "71.43"), NOT, "against the printed direction"),
        ((2, 8, 15, 59), ("59.52", "71.43"), NOT, "is outside"),
        # Causal judgment, 14B: 66 -> 68 of 95 printed; 2 items reach p < .05 under no pairing.
        ((60, 6, 8, 21), ("69.47", "71.58"), NOT_TESTABLE, "which no pairing"),
        # IMDB, 14B: 59 -> 65 of 84 printed; 6 items could, but a repeat would miss them in half of the cases.
        ((55, 4, 8, 17), ("70.24", "77.38"), NOT_TESTABLE, "56% of repeats"),
        # Not testable is no excuse: a large contrary or a large favourable result still counts.
        ((40, 26, 4, 25), ("69.47", "71.58"), NOT, "against the printed direction"),
        ((66, 0, 9, 20), ("69.47", "71.58"), PARTLY, "gain of 2.11 is outside"),
        # A table may print a loss.
        ((48, 12, 2, 22), ("71.43", "59.52"), REPLICATED, "all three"),
        ((50, 0, 0, 34), ("59.52", "59.52"), NOT_TESTABLE, "0.0 of 84"),
    ],
)
def test_rule(pairs, printed, word, told):
    said = verdict(Paired(*pairs), paper(*printed))
    assert said["word"] == word
    assert told in said["reason"]
    assert said["reason"].endswith(".")


def test_no_verdict_where_the_paper_prints_nothing():
    assert verdict(Paired(1, 2, 3, 4), None)["word"] is None


def test_printed_bounds_are_read_with_their_rounding():
    # Before lies in 48.834... to 69.380..., the gain in 3.195... to 20.374...: what prints the same as an end is not outside.
    ours = Paired(48, 2, 12, 22)
    assert verdict(ours, paper("48.83", "66.00"))["word"] == REPLICATED
    assert verdict(ours, paper("48.82", "66.00"))["word"] == PARTLY
    assert verdict(ours, paper("55.00", "75.38"))["word"] == REPLICATED
    assert verdict(ours, paper("55.00", "75.39"))["word"] == PARTLY


def test_cells_of_the_paper_that_its_sizes_cannot_show():
    sizes = {"math500": 251, "imdb": 84, "medd": 2080, "causal_judgment": 95}
    sizes |= dict(zip((f"math500-L{level}" for level in range(1, 6)), (22, 45, 53, 64, 67), strict=True))
    never, weak = set(), set()
    for cell in read_cells(PAPER):
        n, gain = sizes[cell.dataset], (float(cell.after) - float(cell.before)) / 100
        if mcnemar(0, round(n * gain))[0] >= ALPHA:
            never.add(cell.name)
        if best_case_power(n, gain) < POWER:
            weak.add(cell.name)
    assert never == {
        "math500-L1/qwen2.5-math-7b",
        "math500-L4/qwen2.5-math-7b",
        "math500-L5/qwen2.5-math-7b",
        "causal_judgment/qwen2.5-7b-instruct",
        "causal_judgment/qwen2.5-14b-instruct",
    }
    assert weak == never | {"imdb/llama-3.1-8b-instruct", "imdb/qwen2.5-14b-instruct"}


counts = st.integers(0, 40)
percent = st.integers(0, 10000).map(lambda hundredths: f"{hundredths / 100:.2f}")


@settings(deadline=None, max_examples=times(200))
@given(st.tuples(counts, counts, counts, counts).filter(any), percent, percent)
def test_every_result_has_one_verdict_and_it_means_what_it_says(pairs, before, after):
    mine = Paired(*pairs)
    said = verdict(mine, paper(before, after))
    assert said["word"] in WORDS
    printed = float(after) - float(before)
    significant = mcnemar(mine.only_before, mine.only_after)[0] < 0.05
    same = (mine.only_after - mine.only_before) * printed > 0
    if said["word"] == REPLICATED:
        assert significant
        assert same
        for correct, percent in ((mine.both + mine.only_before, before), (mine.both + mine.only_after, after)):
            low, high = (100 * end for end in wilson(correct, mine.n))
            assert low - 0.01 <= float(percent) <= high + 0.01
    if said["word"] == NOT_TESTABLE:
        assert not significant
    if significant and same:
        assert said["word"] in (REPLICATED, PARTLY)
