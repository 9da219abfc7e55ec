import math

import numpy as np
import pytest
from budget import times
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from embedgrad.reporting.statistics import Paired, mcnemar
from embedgrad.reporting.verdicts.rule import INCONCLUSIVE, NOT, PARTLY, REPLICATED, WORDS, verdict
from embedgrad.reporting.verdicts.two_studies import (
    Printed,
    difference_of_gains,
    difference_of_proportions,
    telescope,
)


def paper(before: str, after: str) -> dict[str, str]:
    return {"before": before, "after": after, "delta": "+0.00"}


@pytest.mark.parametrize(
    ("pairs", "printed", "word", "size", "reason"),
    [
        # IMDB, 3B: 50 -> 60 of 84 printed.
        ((48, 2, 12, 22), ("59.52", "71.43"), REPLICATED, "open", "no printed number differs"),
        ((20, 2, 12, 50), ("59.52", "71.43"), PARTLY, "open", "printed before of 59.52 by -48.6 to -15.1 points"),
        ((20, 2, 40, 22), ("59.52", "71.43"), PARTLY, "larger", "printed gain of 11.91"),
        # Nearer to the printed gain than to none, and yet 84 items say neither.
        ((45, 5, 13, 21), ("59.52", "71.43"), INCONCLUSIVE, "open", "a gain of up to 17.7 points is not excluded"),
        ((40, 20, 2, 22), ("59.52", "71.43"), NOT, "smaller", "against the printed direction"),
        ((45, 9, 3, 27), ("59.52", "71.43"), NOT, "smaller", "below both the printed 11.91"),
        # Causal judgment, 14B: 66 -> 68 of 95 printed.
        ((60, 6, 8, 21), ("69.47", "71.58"), INCONCLUSIVE, "open", "in 2% of repeats"),
        ((40, 26, 4, 25), ("69.47", "71.58"), NOT, "smaller", "against the printed direction"),
        # Maths, 1.5B: 37 -> 148 of 251 printed, a gain so large that its size can be told.
        ((30, 7, 118, 96), ("14.74", "58.96"), REPLICATED, "same", "no printed number differs"),
        ((30, 7, 60, 154), ("14.74", "58.96"), PARTLY, "smaller", "printed after of 58.96"),
        # A table may print a loss, or no change.
        ((48, 12, 2, 22), ("71.43", "59.52"), REPLICATED, "open", "no printed number differs"),
        ((45, 3, 9, 27), ("71.43", "59.52"), NOT, "smaller", "below both the printed 11.91"),
        ((50, 0, 0, 34), ("59.52", "59.52"), INCONCLUSIVE, "open", "up to 2.0 points"),
        ((50, 0, 9, 25), ("59.52", "59.52"), NOT, "larger", "against the printed direction"),
    ],
)
def test_rule(pairs, printed, word, size, reason):
    found = verdict(Paired(*pairs), paper(*printed))
    assert (found["word"], found["size"]) == (word, size)
    assert reason in found["reason"]
    assert found["reason"].endswith(".")


def test_nothing_printed():
    found = verdict(Paired(1, 2, 3, 4), None)
    assert found["word"] is None
    assert "first_rule" not in found


def test_both_rules_stand_side_by_side_with_their_dates():
    found = verdict(Paired(45, 5, 13, 21), paper("59.52", "71.43"), 84)
    assert (found["rule"], found["word"]) == ("2026-11-27", INCONCLUSIVE)
    assert (found["first_rule"]["date"], found["first_rule"]["word"]) == ("2026-11-23", PARTLY)
    assert found["printed_n"] == {"n": 84, "assumed": False}
    assert verdict(Paired(45, 5, 13, 21), paper("59.52", "71.43"))["printed_n"]["assumed"]


def test_more_items_behind_the_printed_numbers_excuse_less():
    """Ours of 84 items differ from the printed by what two samples of 84 would, and not by what 84 and 5,000 would."""
    ours = Paired(36, 2, 12, 34)
    assert verdict(ours, paper("59.52", "71.43"), 84)["word"] == REPLICATED
    assert verdict(ours, paper("59.52", "71.43"), 5000)["word"] == PARTLY


@settings(deadline=None, max_examples=times(100))
@given(
    st.tuples(*[st.integers(0, 60)] * 4).filter(any),
    st.integers(0, 10000),
    st.integers(0, 10000),
    st.integers(6, 300),
)
def test_every_result_has_one_verdict_and_it_means_what_it_says(pairs, before, after, n):
    ours = Paired(*pairs)
    found = verdict(ours, paper(f"{before / 100:.2f}", f"{after / 100:.2f}"), n)
    significant = mcnemar(ours.only_before, ours.only_after)[0] < 0.05
    same = ours.points * (after - before) > 0
    assert found["word"] in WORDS
    if significant:
        assert found["word"] in ((REPLICATED, PARTLY) if same else (NOT,))
    else:
        assert found["word"] in (NOT, INCONCLUSIVE)
    if found["size"] == "same":
        assert abs(found["difference"]["points"]) < abs(after - before) / 100 / 2 + 100 / n


def newcombe_paired(a, b, c, d, alpha):
    """Method 10 written from the paper: Stat. Med. 17:2635, Section 2."""
    n = a + b + c + d
    p1, p2 = (a + b) / n, (a + c) / n
    l1, u1 = proportion_confint(a + b, n, alpha, "wilson")
    l2, u2 = proportion_confint(a + c, n, alpha, "wilson")
    product = (a + b) * (c + d) * (a + c) * (b + d)
    top = a * d - b * c
    top = max(top - n / 2, 0) if top > 0 else top
    phi = top / math.sqrt(product) if product else 0
    low = math.sqrt((p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2)
    high = math.sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
    return 100 * (p2 - p1 - low), 100 * (p2 - p1 + high)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.05 / 3])
def test_the_difference_of_two_gains_by_other_means(alpha):
    one, two = (45, 5, 13, 21), (48, 2, 12, 22)
    (low, high), (other_low, other_high) = newcombe_paired(*one, alpha), newcombe_paired(*two, alpha)
    gain, other = 100 * (13 - 5) / 84, 100 * (12 - 2) / 84
    expected = (
        gain - other - math.sqrt((gain - low) ** 2 + (other_high - other) ** 2),
        gain - other + math.sqrt((high - gain) ** 2 + (other - other_low) ** 2),
    )
    assert difference_of_gains(Paired(*one), Paired(*two), alpha) == pytest.approx(expected, abs=1e-9)


def test_the_difference_of_two_proportions_by_other_means():
    (l1, u1), (l2, u2) = proportion_confint(50, 84, 0.05, "wilson"), proportion_confint(56, 95, 0.05, "wilson")
    p1, p2 = 50 / 84, 56 / 95
    expected = p1 - p2 - math.hypot(p1 - l1, u2 - p2), p1 - p2 + math.hypot(u1 - p1, p2 - l2)
    found = difference_of_proportions((50, 84), (56, 95), 0.05)
    assert found == pytest.approx([100 * end for end in expected], abs=1e-9)


@pytest.mark.parametrize(("n", "discordant", "of"), [(22, 5, 22), (84, 14, 84), (95, 40, 95)])
def test_the_small_telescope_finds_its_gain_in_a_third_of_repeats(n, discordant, of):
    gain = telescope(n, discordant, of) / 100
    share = max(discordant / of, gain)
    won, found = (share + gain) / 2 / share, 0.0
    for pairs in range(1, n + 1):
        wins = np.arange(pairs + 1)
        rejected = 2 * binom.cdf(np.minimum(wins, pairs - wins), pairs, 0.5) < 0.05
        found += binom.pmf(pairs, n, share) * binom.pmf(wins, pairs, won)[rejected].sum()
    assert found == pytest.approx(1 / 3, abs=0.002)


def test_too_few_items_have_no_telescope():
    assert telescope(5, 2, 5) == 100


def test_printed_pairs_have_the_printed_counts_and_our_correlation():
    ours = Paired(45, 5, 13, 21)
    theirs = Printed("59.52", "71.43", 84).pairs(ours.phi)
    assert (theirs.both + theirs.only_before, theirs.both + theirs.only_after, theirs.n) == (50, 60, 84)
    assert theirs.phi == pytest.approx(ours.phi, abs=0.03)
    assert ours.phi == pytest.approx(np.corrcoef([1] * 50 + [0] * 34, [1] * 45 + [0] * 5 + [1] * 13 + [0] * 21)[0, 1])
    # No items are right more often than both sides allow.
    assert Printed("0.00", "100.00", 10).pairs(1.0) == Paired(0, 0, 10, 0)
