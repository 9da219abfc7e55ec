"""Prompts side by side on the same items, and parts of a gain, against definitions written anew: to 1e-9."""

import itertools

import numpy as np
import pytest
import textbook
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.weightstats import DescrStatsW
from textbook import EXACT

from embedgrad.carry.compared import compared as compared_arms
from embedgrad.carry.compared import contrast, mean_of
from embedgrad.carry.scores import Scores
from embedgrad.probes.intervals import auroc_interval, difference_of_changes, mover, permutation_p, sign_flip_p
from embedgrad.probes.shuffled import split_gain
from embedgrad.probes.transfer_matrix import compared


def rows(right):
    return [{"correct": bool(one), "extracted": "x", "failure": "none" if one else "wrong"} for one in right]


def cells_of(one, other):
    return tuple(
        int(sum((a, b) == pair for a, b in zip(one, other, strict=True))) for pair in ((1, 1), (1, 0), (0, 1), (0, 0))
    )


def test_parts_of_a_gain_and_prompts_side_by_side():
    chance = np.random.default_rng(3)
    sides = {name: chance.integers(0, 2, 50).tolist() for name in ("before", "shuffled", "after")}
    found = split_gain(rows(sides["before"]), [rows(sides["shuffled"])], rows(sides["after"]))
    for part, (one, other) in {
        "total": ("before", "after"),
        "format": ("before", "shuffled"),
        "knowledge": ("shuffled", "after"),
    }.items():
        cells = cells_of(sides[one], sides[other])
        assert found[part]["points"] == pytest.approx(2 * (sum(sides[other]) - sum(sides[one])), abs=EXACT)
        assert found[part]["interval"] == pytest.approx(textbook.newcombe(*cells), abs=EXACT)
        assert found[part]["p"] == pytest.approx(textbook.mcnemar(*cells[1:3]), rel=EXACT)
    for name, right in sides.items():
        side = found["dealings"][0] if name == "shuffled" else found["sides"][name]
        assert side["wilson"] == pytest.approx(textbook.wilson(sum(right), 50), abs=EXACT)
    text, optimised = ([bool(one) for one in sides[name]] for name in ("before", "after"))
    cells = cells_of(text, optimised)
    matrix = compared(text, optimised)
    arms = {"text": Scores([1.0] * 50, text, "likelihood"), "own": Scores([0.5] * 50, optimised, "likelihood")}
    carried = compared_arms(arms, "text")["own"]
    for interval, p in ((matrix["gain_interval"], matrix["p"]), (carried["interval"], carried["p"])):
        assert interval == pytest.approx(textbook.newcombe(*cells), abs=EXACT)
        assert p == pytest.approx(textbook.mcnemar(*cells[1:3]), rel=EXACT)
    assert matrix["interval"] == pytest.approx(textbook.wilson(sum(optimised), 50), abs=EXACT)
    assert mean_of(list(arms.values()))["loss"] == pytest.approx(0.75, abs=EXACT)


def test_contrasts_of_prompts_are_paired():
    chance = np.random.default_rng(5)
    one, other = (
        Scores(
            chance.normal(mean, 1, 40).tolist(),
            chance.integers(0, 2, 40).astype(bool).tolist(),
            "likelihood",
            chance.exponential(mean, 40).tolist(),
        )
        for mean in (2.0, 1.5)
    )
    found = contrast(one, other)
    for name, before, after in (
        ("loss", one.losses, other.losses),
        ("label", one.label_losses, other.label_losses),
    ):
        falls = DescrStatsW(np.subtract(before, after))
        assert found[f"{name}_gain"] == pytest.approx(falls.mean, abs=EXACT)
        assert found[f"{name}_interval"] == pytest.approx(falls.tconfint_mean(), abs=EXACT)
        assert found[f"{name}_p"] == pytest.approx(falls.ttest_mean()[1], rel=EXACT)
    cells = cells_of(one.correct, other.correct)
    assert found["interval"] == pytest.approx(textbook.newcombe(*cells), abs=EXACT)
    assert found["p"] == pytest.approx(textbook.mcnemar(*cells[1:3]), rel=EXACT)


@given(st.floats(0.001, 0.999), st.integers(2, 60), st.integers(2, 60))
def test_newcombes_interval_of_an_area(area, positives, negatives):
    z2, half = norm.ppf(0.975) ** 2, (positives + negatives) / 2 - 1
    for end in auroc_interval(area, positives, negatives):
        # Hanley and McNeil's variance at the end, with both numbers of pairs replaced by half of all (method 5).
        q, r = end / (2 - end), 2 * end**2 / (1 + end)
        variance = (end * (1 - end) + half * (q - end**2) + half * (r - end**2)) / (positives * negatives)
        assert (end - area) ** 2 == pytest.approx(z2 * variance, abs=1e-8)


@pytest.mark.parametrize("same", [True, False])
def test_differences_of_changes(same):
    chance = np.random.default_rng(4)
    for _ in range(30):
        one, other = (chance.integers(0, 2, (2, 40)).astype(bool).tolist() for _ in range(2))
        gains = [np.subtract(after, before, dtype=int) for before, after in (one, other)]
        related = np.corrcoef(*gains)[0, 1] if same else 0.0
        ends = [textbook.newcombe(*cells_of(*side)) for side in (one, other)]
        points = [100 * gain.mean() for gain in gains]
        found = difference_of_changes(one, other, same_items=same)
        assert found[0] == pytest.approx(points[0] - points[1], abs=EXACT)
        joined = textbook.mover(points[0], ends[0], points[1], ends[1], related)
        assert found[1] == pytest.approx(joined, abs=EXACT)
        assert mover(points[0], ends[0], points[1], ends[1], correlation=related) == pytest.approx(joined, abs=EXACT)


@pytest.mark.parametrize("seed", range(6))
def test_permutation_tests_by_trying_all(seed):
    chance = np.random.default_rng(seed)
    values = chance.integers(-2, 3, 9).tolist()
    sums = [sum(a * b for a, b in zip(values, signs, strict=True)) for signs in itertools.product((-1, 1), repeat=9)]
    assert sign_flip_p(values) == pytest.approx(np.mean([abs(one) >= abs(sum(values)) for one in sums]), rel=EXACT)
    one, other = (chance.integers(-1, 2, size).tolist() for size in (4, 7))
    pooled = np.array(one + other)
    apart = []
    for places in itertools.combinations(range(11), 4):
        inside = np.isin(np.arange(11), places)
        apart.append(abs(pooled[inside].mean() - pooled[~inside].mean()))
    seen = abs(np.mean(one) - np.mean(other)) - 1e-12
    assert permutation_p(one, other) == pytest.approx(np.mean([one >= seen for one in apart]), rel=EXACT)
