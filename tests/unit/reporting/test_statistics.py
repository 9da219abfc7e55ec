import itertools
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from budget import times
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from scipy.stats import binomtest, multinomial, norm
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests

from embedgrad.reporting.statistics import (
    Paired,
    best_case_power,
    crossed,
    detectable_gain,
    holm,
    mcnemar,
    power_of_gain,
    smallest_significant_gain,
    surely,
    wilson,
)

counts = st.integers(0, 60)
tables = st.tuples(counts, counts, counts, counts).filter(lambda cells: sum(cells) > 0)


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    # Newcombe 1998, Stat. Med. 17:857-872, Table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_published(correct, n, low, high):
    assert wilson(correct, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy_and_holds_the_share(pair):
    correct, n = pair
    low, high = wilson(correct, n)
    theirs = binomtest(correct, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= low <= correct / n <= high <= 1


@pytest.mark.parametrize(("correct", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_proportion(correct, n):
    with pytest.raises(ValueError):
        wilson(correct, n)


@pytest.mark.parametrize(
    ("one", "other", "exact", "mid"),
    # Fagerland, Lydersen, Laake 2013, BMC Med. Res. Methodol. 13:91: Bentur et al. 2009 and Cavo et al. 2012.
    [
        (1, 7, 0.0703, 0.0391),
        (6, 16, 0.052479, 0.034690),
        (0, 0, 1, 1),
        (0, 5, 0.0625, 0.03125),
        (0, 6, 0.03125, 1 / 64),
    ],
)
def test_mcnemar_published(one, other, exact, mid):
    assert mcnemar(one, other) == pytest.approx((exact, mid), abs=5e-5)
    assert mcnemar(other, one) == pytest.approx((exact, mid), abs=5e-5)


@given(st.integers(0, 150), st.integers(0, 150))
def test_mcnemar_equals_statsmodels_and_a_plain_sum(one, other):
    exact, mid = mcnemar(one, other)
    assert exact == pytest.approx(float(their_mcnemar([[3, one], [other, 4]], exact=True).pvalue), rel=1e-9)
    # The definition: what is further from even, and half of what is just as far.
    n = one + other
    weights = {k: math.comb(n, k) / 2**n for k in range(n + 1)}
    further = sum(weight for k, weight in weights.items() if abs(2 * k - n) > abs(one - other))
    tied = sum(weight for k, weight in weights.items() if abs(2 * k - n) == abs(one - other))
    assert mid == pytest.approx(further + tied / 2 if n else 1, rel=1e-9)


# Newcombe 1998, Stat. Med. 17:2635-2650, Table III, method 10, as cited by later implementations:
# (both, first only, second only, neither).
NEWCOMBE = {
    (36, 12, 2, 0): (0.0569, 0.3404),
    (20, 12, 2, 16): (0.0562, 0.3292),
    (18, 12, 2, 18): (0.0562, 0.3290),
    (36, 14, 0, 0): (0.1528, 0.4167),
    (35, 14, 0, 1): (0.1461, 0.4175),
    (18, 14, 0, 18): (0.1441, 0.3963),
    (2, 97, 1, 0): (0.8721, 0.9854),
    (0, 29, 1, 0): (0.6666, 0.9882),
    (2, 98, 0, 0): (0.9178, 0.9945),
    (1, 98, 0, 1): (0.9171, 0.9916),
    (0, 30, 0, 0): (0.8395, 1.0),
    (54, 0, 0, 0): (-0.0664, 0.0664),
    (53, 0, 0, 1): (-0.0729, 0.0729),
    (30, 0, 0, 24): (-0.0358, 0.0358),
    (59, 6, 16, 80): (-0.1186, -0.0046),  # Cavo et al. 2012 in Fagerland et al. 2014
}


def interval(*counts):
    return tuple(end / 100 for end in Paired(*counts).interval)


@pytest.mark.parametrize("table", NEWCOMBE)
def test_newcombe_published(table):
    both, first, second, neither = table
    # Newcombe's difference is first - second; ours is after - before.
    assert interval(both, second, first, neither) == pytest.approx(NEWCOMBE[table], abs=6e-5)
    low, high = NEWCOMBE[table]
    assert interval(both, first, second, neither) == pytest.approx((-high, -low), abs=6e-5)


@given(tables)
def test_newcombe_holds_the_difference_and_stays_in_range(cells):
    both, only_before, only_after, neither = cells
    low, high = interval(both, only_before, only_after, neither)
    gain = (only_after - only_before) / sum(cells)
    assert -1 <= low <= gain + 1e-12
    assert gain - 1e-12 <= high <= 1


def test_holm_worked_example_and_empty():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@settings(deadline=None, max_examples=times(25))
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_equals_its_definition(p_values):
    expected, highest = {}, 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        expected[place] = highest
    assert holm(p_values) == pytest.approx([expected[k] for k in range(len(p_values))], abs=1e-12)


def test_what_is_surely_so_is_what_holms_p_says():
    points, p_values = [5.0, -4.0, 3.0, 0.0, 9.0], [0.012, 0.001, 0.04, 0.001, 0.2]
    rejected = multipletests(p_values, alpha=0.05, method="holm")[0]
    assert surely(points, p_values) == [int(np.sign(point)) * hit for point, hit in zip(points, rejected, strict=True)]
    assert surely(points, p_values) == [1, -1, 0, 0, 0], "3 points at p = .04 by itself are one test of five"
    assert surely([], []) == []


@pytest.mark.parametrize(("n", "gain", "discordance"), [(8, 0.5, 0.6), (12, 0.3, 0.7), (9, -0.4, 0.8), (10, 0.0, 0.5)])
def test_power_equals_full_enumeration(n, gain, discordance):
    won, lost = (discordance + gain) / 2, (discordance - gain) / 2
    expected = sum(
        multinomial.pmf([up, down, n - up - down], n, [won, lost, 1 - discordance])
        for up, down in itertools.product(range(n + 1), repeat=2)
        if up + down <= n and mcnemar(down, up)[0] < 0.05
    )
    assert power_of_gain(n, gain, discordance) == pytest.approx(expected, abs=1e-10)


@settings(deadline=None, max_examples=times(40))
@given(st.integers(1, 300), st.integers(0, 10_000))
def test_best_case_power_is_the_chance_of_six_wins(n, hundredths):
    gain = hundredths / 10_000  # as gains are printed
    # With none lost, six wins are the least that reaches p < .05.
    expected = 1 - sum(math.comb(n, k) * gain**k * (1 - gain) ** (n - k) for k in range(min(6, n + 1)))
    assert best_case_power(n, gain) == pytest.approx(expected, abs=1e-9)


def test_power_refuses_a_gain_above_the_discordance_and_knows_no_change():
    with pytest.raises(ValueError):
        power_of_gain(10, 0.5, 0.2)
    assert power_of_gain(10, 0.0, 0.0) == 0


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001, 0.0625, 0.1])
def test_smallest_significant_gain(alpha):
    items = smallest_significant_gain(alpha)
    assert mcnemar(0, items)[0] < alpha <= mcnemar(0, items - 1)[0]


@pytest.mark.parametrize(("n", "points"), [(22, None), (45, 18.2), (84, 13.5), (95, 12.7), (251, 7.9)])
def test_detectable_gain_at_the_sizes_of_the_paper(n, points):
    gain = detectable_gain(n)
    if points is None:
        assert gain is None  # even 20 points, all discordant pairs won, are too few
        return
    assert 100 * gain == pytest.approx(points, abs=0.05)


@given(st.integers(20, 5000), st.floats(0.05, 0.9))
def test_detectable_gain_solves_connors_equation(n, discordance):
    z_alpha, z_beta = norm.ppf(0.975), norm.ppf(0.8)

    def items(gain):
        return (z_alpha * math.sqrt(discordance) + z_beta * math.sqrt(max(discordance - gain**2, 0))) ** 2 / gain**2

    gain = detectable_gain(n, discordance)
    if gain is None:
        assert items(discordance) > n
    else:
        assert gain == pytest.approx(brentq(lambda g: items(g) - n, 1e-6, discordance), rel=1e-6)


def test_detectable_gain_is_close_to_exact_power():
    # The approximation is optimistic against the exact, conservative test; by how much is pinned here.
    for n in (84, 95, 251):
        assert 0.70 < power_of_gain(n, detectable_gain(n), 0.20) < 0.82


def drawn_gains(seed, seeds=6, items=120, item_sd=30.0, seed_sd=8.0, rest_sd=20.0, mean=10.0):
    """Gains in points of a known mixed model, over 100."""
    chance = np.random.default_rng(seed)
    table = mean + chance.normal(0, item_sd, items)[None, :] + chance.normal(0, seed_sd, seeds)[:, None]
    return (table + chance.normal(0, rest_sd, (seeds, items))) / 100


def test_crossed_is_the_mixed_model_of_statsmodels():
    """Restricted maximum likelihood of a full table is the analysis of variance, where no component is negative."""
    gains = drawn_gains(4, seeds=5, items=40)
    found = crossed(gains)
    seeds, items = (axis.ravel() for axis in np.indices(gains.shape))
    frame = pd.DataFrame({"gain": 100 * gains.ravel(), "seed": seeds, "item": items, "all": 1})
    parts = {"seed": "0 + C(seed)", "item": "0 + C(item)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says where its optimiser ended
        model = MixedLM.from_formula("gain ~ 1", groups="all", vc_formula=parts, re_formula="0", data=frame).fit(
            reml=True
        )
    assert found.mean == pytest.approx(float(model.fe_params.iloc[0]), abs=1e-6)
    variances = dict(zip(model.model.exog_vc.names, model.vcomp, strict=True))
    assert found.items == pytest.approx(variances["item"] ** 0.5, rel=0.01)
    assert found.seeds == pytest.approx(variances["seed"] ** 0.5, rel=0.02)
    assert found.rest == pytest.approx(model.scale**0.5, rel=0.01)
    half = (found.interval[1] - found.interval[0]) / 2
    assert half > 1.96 * float(model.bse_fe.iloc[0]) * 0.99  # Student's quantile is wider than the normal one


def test_crossed_by_the_sums_of_a_textbook():
    """Two-way analysis of variance with one value a cell, written out with loops."""
    gains = [[1, 0, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 0, 0]]
    s, n = len(gains), len(gains[0])
    total = sum(100 * value for row in gains for value in row)
    correction = total**2 / (s * n)
    by_seed = sum((100 * sum(row)) ** 2 for row in gains) / n - correction
    by_item = sum((100 * sum(column)) ** 2 for column in zip(*gains, strict=True)) / s - correction
    everything = sum((100 * value) ** 2 for row in gains for value in row) - correction
    ms_seed, ms_item = by_seed / (s - 1), by_item / (n - 1)
    ms_rest = (everything - by_seed - by_item) / ((s - 1) * (n - 1))
    found = crossed(gains)
    assert ms_seed < ms_rest < ms_item  # so the seeds' component is 0, and items alone carry the error
    assert (found.seeds, found.items) == (0, pytest.approx(((ms_item - ms_rest) / s) ** 0.5, abs=1e-9))
    half = stats.t.ppf(0.975, n - 1) * (ms_item / (s * n)) ** 0.5
    assert found.interval == (
        pytest.approx(total / s / n - half, abs=1e-9),
        pytest.approx(total / s / n + half, abs=1e-9),
    )
    assert found.p == pytest.approx(2 * stats.t.sf(total / s / n / (ms_item / (s * n)) ** 0.5, n - 1), abs=1e-9)


def test_the_interval_of_crossed_holds_the_truth():
    hits = 0
    for seed in range(200):
        low, high = crossed(drawn_gains(seed, seeds=3, items=60)).interval
        hits += low <= 10 <= high
    assert 0.92 <= hits / 200 <= 1


def test_more_seeds_of_one_opinion_are_no_more_items():
    items = [1.0] * 20 + [0.0] * 20
    few, many = crossed([items] * 2), crossed([items] * 10)
    assert few.interval == pytest.approx(many.interval)
    # Nothing varies: no certainty comes of it. Wilson's interval of 84 of 84 begins at 84 / (84 + 1.96²).
    half = 100 * math.sqrt(2) * (1 - 84 / (84 + norm.ppf(0.975) ** 2))
    assert half == pytest.approx(6.185, abs=5e-4)
    still, lost = crossed([[0] * 84] * 3), crossed([[-1] * 5] * 3)
    assert (still.mean, still.interval, still.p) == (0, pytest.approx((-half, half)), 1)
    assert (lost.mean, lost.interval[0], lost.p) == (-100, -100, pytest.approx(2 / 2**5))
    with pytest.raises(ValueError, match="two of each"):
        crossed([items])
