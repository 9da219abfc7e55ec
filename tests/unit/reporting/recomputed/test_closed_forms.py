"""Intervals, tests and verdicts against definitions written anew: to 1e-9, over random tables."""

import math

import numpy as np
import pytest
import textbook
from budget import times
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binom, norm, ttest_1samp, ttest_rel
from statsmodels.stats.weightstats import DescrStatsW
from textbook import EXACT

from embedgrad.carry.compared import share
from embedgrad.probes.intervals import paired_mean
from embedgrad.probes.trajectory import overfitting
from embedgrad.reporting.claims.measured import Measured
from embedgrad.reporting.statistics import (
    Paired,
    detectable_gain,
    fieller,
    mcnemar,
    ratio_of_means,
    wilson,
)
from embedgrad.reporting.verdicts.rule import verdict
from embedgrad.reporting.verdicts.two_studies import (
    Printed,
    difference_of_gains,
    difference_of_proportions,
    telescope,
)

tables = st.tuples(*[st.integers(0, 80)] * 4).filter(lambda cells: sum(cells) > 1)
alphas = st.sampled_from([0.05, 0.1, 0.05 / 3])


@settings(deadline=None, max_examples=times(60))
@given(tables, tables, alphas)
def test_paired_intervals(cells, others, alpha):
    one, two = Paired(*cells), Paired(*others)
    assert one.interval_at(alpha) == pytest.approx(textbook.newcombe(*cells, alpha), abs=EXACT)
    assert one.interval == one.interval_at(0.05)
    right = [(cells[0] + cells[place], sum(cells)) for place in (1, 2)]
    assert [wilson(*pair, alpha) for pair in right] == [
        pytest.approx(textbook.wilson(*pair, alpha), abs=EXACT) for pair in right
    ]
    assert mcnemar(one.only_before, one.only_after)[0] == pytest.approx(textbook.mcnemar(*cells[1:3]), rel=EXACT)
    wanted = textbook.mover(one.points, textbook.newcombe(*cells, alpha), two.points, textbook.newcombe(*others, alpha))
    assert difference_of_gains(one, two, alpha) == pytest.approx(wanted, abs=1e-7 * EXACT + EXACT)
    ours, printed = (right[0][0], right[0][1]), (others[0] + others[1], sum(others))
    assert difference_of_proportions(ours, printed, alpha) == pytest.approx(
        textbook.two_samples(*ours, *printed, alpha), abs=EXACT
    )


@given(tables)
def test_points_and_correlation_of_pairs(cells):
    both, before, after, neither = cells
    one = Paired(*cells)
    first = np.repeat([1, 1, 0, 0], cells)
    second = np.repeat([1, 0, 1, 0], cells)
    assert one.points == pytest.approx(100 * (second.mean() - first.mean()), abs=EXACT)
    assert Paired.of(first.astype(bool).tolist(), second.astype(bool).tolist()) == one
    varies = first.std() > 0 and second.std() > 0
    assert one.phi == pytest.approx(np.corrcoef(first, second)[0, 1] if varies else 0, abs=EXACT)
    assert one.n == both + before + after + neither


def small_gain(n, share):
    """The gain that n items find in a third of repeats: power summed over all tables of wins and losses."""

    def power(gain):
        part = max(share, gain)
        pairs = np.arange(n + 1)
        wins = np.arange(n + 1)[:, None]
        tails = np.where(wins <= pairs, 2 * binom.cdf(np.minimum(wins, pairs - wins), pairs, 0.5), 1.0)
        chance = binom.pmf(wins, pairs, (part + gain) / 2 / part) * binom.pmf(pairs, n, part)
        return float(chance[(tails < 0.05) & (wins <= pairs)].sum())

    return 100 * brentq(lambda gain: power(gain) - 1 / 3, 1e-9, 1, xtol=1e-13)


@pytest.mark.parametrize(("n", "discordant", "of"), [(22, 5, 22), (84, 14, 84), (95, 40, 95), (251, 12, 240)])
def test_d33(n, discordant, of):
    assert telescope(n, discordant, of) == pytest.approx(small_gain(n, discordant / of), abs=1e-8)


def judged(cells, before, after, n):
    """The rule's docstring, followed with the textbook's intervals."""
    both, lost, won, neither = cells
    items, gain = sum(cells), after - before
    k, j = (min(round(side / 100 * n), n) for side in (before, after))
    margins = (both + lost) * (won + neither) * (both + won) * (lost + neither)
    phi = (both * neither - lost * won) / math.sqrt(margins) if margins else 0.0
    twice = round(k * j / n + phi * math.sqrt(k * (n - k) * j * (n - j)) / n)
    twice = min(max(twice, k + j - n, 0), k, j)
    theirs = (twice, k - twice, j - twice, n - k - j + twice)
    own, printed = 100 * (won - lost) / items, 100 * (j - k) / n

    def gap(alpha):
        return textbook.mover(own, textbook.newcombe(*cells, alpha), printed, textbook.newcombe(*theirs, alpha))

    p = textbook.mcnemar(lost, won)
    up = gain >= 0
    if p < 0.05:
        if own * gain <= 0:
            word = "not"
        else:
            third = 0.05 / 3
            ends = [
                textbook.two_samples(both + lost, items, k, n, third),
                textbook.two_samples(both + won, items, j, n, third),
                gap(third),
            ]
            word = "replicated" if all(low <= 1e-9 and high >= -1e-9 for low, high in ends) else "partly"
    else:
        bound = textbook.newcombe(*cells, 0.1)[1] if up else -textbook.newcombe(*cells, 0.1)[0]
        apart = gap(0.1)[1] if up else -gap(0.1)[0]
        seen = small_gain(n, (lost + won) / items)
        word = "not" if bound < seen and apart < -1e-9 else "inconclusive"
    low, high = gap(0.1)  # two one-sided tests at .05: both bounds within the margin
    if max(-low, high) < abs(gain) / 2:
        return word, "same"
    low, high = gap(0.05)
    if low <= 1e-9 and high >= -1e-9:
        return word, "open"
    return word, "larger" if (low > 0) == up else "smaller"


def test_verdicts_and_equivalence():
    """Words and sizes of tables drawn around the paper's printed cells, most of which are near a border of the rule."""
    chance, met = np.random.default_rng(0), set()
    for before, after, n in [
        (59.52, 71.43, 84),
        (14.74, 58.96, 251),
        (69.47, 71.58, 95),
        (72.73, 95.45, 22),
        (58.0, 40.0, 100),
    ]:
        for _ in range(times(12)):
            p, q = (min(max((side + chance.normal(0, 12)) / 100, 0.01), 0.99) for side in (before, after))
            both = min(p, q) * chance.uniform(0.7, 1)
            shares = np.array([both, p - both, q - both, 1 - p - q + both]).clip(0)
            cells = tuple(map(int, chance.multinomial(n, shares / shares.sum())))
            found = verdict(Paired(*cells), {"before": f"{before:.2f}", "after": f"{after:.2f}", "delta": ""}, n)
            wanted = judged(cells, before, after, n)
            assert (found["word"], found["size"]) == wanted, (cells, before, after)
            met.add(wanted)
    assert {word for word, _ in met} == {"replicated", "partly", "not", "inconclusive"}
    assert {size for _, size in met} == {"same", "open", "larger", "smaller"}


@given(st.integers(6, 400), st.integers(0, 10_000), st.integers(0, 10_000), st.floats(-1, 1))
def test_printed_pairs_have_the_counts_and_the_nearest_correlation(n, before, after, phi):
    printed = Printed(f"{before / 100:.2f}", f"{after / 100:.2f}", n)
    k, j = printed.counts()
    assert abs(k - before / 10_000 * n) <= 0.5 + EXACT
    assert abs(j - after / 10_000 * n) <= 0.5 + EXACT
    assert printed.points == pytest.approx((after - before) / 100, abs=EXACT)
    found = printed.pairs(phi)
    assert (found.both + found.only_before, found.both + found.only_after, found.n) == (k, j, n)
    if 0 < k < n and 0 < j < n:
        scale = math.sqrt(k * (n - k) * j * (n - j))
        every = [
            (both * (n - k - j + both) - (k - both) * (j - both)) / scale
            for both in range(max(0, k + j - n), min(k, j) + 1)
        ]
        assert abs(found.phi - phi) == pytest.approx(min(abs(one - phi) for one in every), abs=1e-6)


@given(st.integers(20, 3000), st.floats(0.05, 0.9))
def test_connors_gain(n, discordance):
    gain = detectable_gain(n, discordance)
    if gain is not None:
        left = (norm.ppf(0.975) * math.sqrt(discordance) + norm.ppf(0.8) * math.sqrt(discordance - gain**2)) / gain
        assert left**2 == pytest.approx(n, rel=1e-7)


@given(st.floats(-20, 20), st.floats(0.1, 9), st.floats(5, 20), st.floats(0.1, 1), st.floats(-0.95, 0.95))
def test_fieller(a, v, b, w, correlation):
    c = correlation * math.sqrt(v * w)
    found = fieller(a, v, b, w, c)
    assert found is not None
    z2 = norm.ppf(0.975) ** 2
    for end in found:  # where a - end · b is just z standard errors from 0
        assert (a - end * b) ** 2 == pytest.approx(z2 * (v - 2 * end * c + end**2 * w), abs=1e-6 * (1 + a * a))
    assert found[0] <= a / b <= found[1]


def test_ratios_of_paired_means():
    chance = np.random.default_rng(1)
    whole = chance.normal(2, 1, 50)
    part = 0.3 * whole + chance.normal(0, 0.4, 50)
    ratio, (low, high) = ratio_of_means(part, whole)
    assert ratio == pytest.approx(part.mean() / whole.mean(), abs=EXACT)
    z = norm.ppf(0.975)
    for end in (low, high):  # Fieller's ends are where the paired z of part - end · whole is z
        left = part - end * whole
        assert abs(left.mean()) == pytest.approx(z * left.std(ddof=1) / math.sqrt(50), abs=EXACT)
    assert share(part, whole) == {"value": ratio, "interval": (low, high)}


@given(st.integers(0, 60), st.integers(1, 60))
def test_shares_of_claims_are_wilsons(hits, more):
    found = Measured.share(hits, hits + more)
    assert found.interval == pytest.approx(textbook.wilson(hits, hits + more), abs=EXACT)
    assert found.value == hits / (hits + more)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_means_of_claims_are_students(values):
    found = Measured.mean(values)
    assert found.value == pytest.approx(np.mean(values), abs=EXACT)
    assert found.interval == pytest.approx(DescrStatsW(values).tconfint_mean(), abs=EXACT)


def test_student_of_overfitting():
    chance = np.random.default_rng(2)
    dev, test = ([chance.normal(abs(epoch - 3) + 1, 1, 40) for epoch in range(8)] for _ in range(2))
    found = overfitting(dev, test)
    assert found["best"] == int(np.argmin([one.mean() for one in dev]))
    lowest = found["test_best"]
    assert lowest == int(np.argmin([one.mean() for one in test]))
    compared = {"rise": (7, found["best"], found["rise"])}
    compared |= {epoch: (epoch, lowest, found["over_lowest"][epoch]) for epoch in range(8) if epoch != lowest}
    for epoch, other, told in compared.values():
        low, high = ttest_rel(test[epoch], test[other]).confidence_interval(0.95)
        assert told == pytest.approx([np.mean(test[epoch] - test[other]), low, high], abs=EXACT)
    above = [
        epoch for epoch in range(8) if epoch != lowest and ttest_1samp(test[epoch] - test[lowest], 0).pvalue < 0.05
    ]
    assert found["level"] == [epoch for epoch in range(8) if epoch not in (*above, lowest)]
    assert found["rises_from"] == next((at for at in range(lowest + 1, 8) if set(range(at, 8)) <= set(above)), None)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30).filter(lambda values: np.ptp(values) > 1e-6))
def test_means_of_paired_differences_are_students(values):
    mean, interval, p = paired_mean(values)
    theirs = DescrStatsW(values)
    assert (mean, *interval) == pytest.approx((theirs.mean, *theirs.tconfint_mean()), abs=EXACT)
    assert p == pytest.approx(theirs.ttest_mean()[1], rel=1e-7, abs=1e-12)


def test_the_smallest_of_several_means():
    """By the p of each test, times their number, and in what share of samples the interval holds the truth."""
    values, errors = [0.5, -1.0, 2.0], [0.2, 0.3, 1.5]
    intervals = [
        (one - norm.ppf(0.975) * error, one + norm.ppf(0.975) * error)
        for one, error in zip(values, errors, strict=True)
    ]
    low, high = Measured.smallest(values, intervals).interval
    assert low == min(one for one, _ in intervals)
    assert 3 * 2 * norm.sf((high - values[1]) / errors[1]) == pytest.approx(0.05, abs=1e-9)
    assert Measured.smallest(values[:1], intervals[:1]).interval == pytest.approx(intervals[0], abs=1e-12)

    draws, layers = np.random.default_rng(0), 20
    truth = np.zeros(layers)  # the hardest case: each layer may turn out to be the smallest
    held = 0
    for _ in range(2000):
        seen = draws.normal(truth)
        low, high = Measured.smallest(seen, [(one - 1.96, one + 1.96) for one in seen]).interval
        held += low <= 0 <= high
    assert held / 2000 > 0.95 - 3 * (0.95 * 0.05 / 2000) ** 0.5
