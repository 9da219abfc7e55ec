"""Calibration, areas, resampled intervals and the audit's tests against scikit-learn, or loops over the same resamples."""

import re
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
import textbook
from places import ROOT
from scipy.stats import binom
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score
from textbook import EXACT

from embedgrad.probes.calibration import (
    auroc_change,
    auroc_of,
    brier,
    calibration,
    change,
    ece,
    probabilities,
    reliability,
    scored,
)
from embedgrad.reporting.analyses import auroc, likelihood_summary, log_odds
from embedgrad.reporting.printed.audit import blocks, count_of, fitting_sizes, printed_sizes
from embedgrad.reporting.printed.chance import chance_findings, read_labels
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.sensitivity import Curve, table

LABELS = ["calm", "angry", "sad"]
PAIRS = (True, True), (True, False), (False, True), (False, False)  # right with the one forecast and with the other


def logs(seed, items=60, labels=3):
    """Log-likelihoods of labels, and true labels that they tell something of."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, labels, items)
    values = chance.normal(0, 1, (items, labels)) + 0.8 * np.eye(labels)[truth] - 2
    return values, truth


@pytest.mark.parametrize("labels", [2, 3])
def test_probabilities_and_log_odds(labels):
    values, _ = logs(0, labels=labels)
    chances = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    assert probabilities(values) == pytest.approx(chances, abs=EXACT)
    tokens = list(range(1, labels + 1))
    means = np.exp(values / tokens)
    assert probabilities(values, tokens) == pytest.approx(means / means.sum(axis=1, keepdims=True), abs=EXACT)
    for label in range(labels):
        wanted = np.log(chances[:, label] / (1 - chances[:, label]))
        assert log_odds(values, label) == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_areas(seed):
    chance = np.random.default_rng(seed)
    scores, truth = chance.integers(0, 8, 50), chance.random(50) < 0.4  # with ties
    assert auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=EXACT)
    assert auroc(scores, truth) == pytest.approx(textbook.area(scores, truth), abs=EXACT)
    assert auroc(scores, np.ones(50, dtype=bool)) is None


@pytest.mark.parametrize("labels", [2, 3])
def test_the_likelihoods_summary(labels):
    values, truth = logs(1, labels=labels)
    names = LABELS[:labels]
    items = [
        {"answer": names[at], "before": row.tolist(), "after": (2 * row).tolist()}
        for row, at in zip(values, truth, strict=True)
    ]
    found = likelihood_summary({"labels": names, "items": items})
    for side, factor in (("before", 1), ("after", 2)):
        chances = probabilities(factor * values)
        area = roc_auc_score(truth, chances[:, 1]) if labels == 2 else roc_auc_score(truth, chances, multi_class="ovr")
        assert found[side]["auroc"] == pytest.approx(area, abs=5e-5 + EXACT)
        assert found[side]["correct"] == accuracy_score(truth, values.argmax(axis=1), normalize=False)


def test_calibration_error_and_diagram():
    values, truth = logs(2, items=300)
    chances = probabilities(values)
    right, sure = chances.argmax(axis=1) == truth, chances.max(axis=1)
    shares, means = calibration_curve(right, sure, n_bins=10, strategy="uniform")
    sizes = [row["n"] for row in reliability(sure, right)]
    assert [row["right"] / row["n"] for row in reliability(sure, right)] == pytest.approx(shares.tolist(), abs=EXACT)
    assert ece(sure, right) == pytest.approx(np.average(np.abs(shares - means), weights=sizes), abs=EXACT)
    assert brier(chances, truth).mean() == pytest.approx(
        brier_score_loss(truth, chances, labels=range(3), scale_by_half=True), abs=EXACT
    )


def test_intervals_given_the_same_resamples():
    """A thousand resamples of the items, each scored from scratch."""
    (old, truth), (new, _) = logs(3, items=40, labels=2), logs(4, items=40, labels=2)
    new = 0.5 * new + old
    before, after = probabilities(old), probabilities(new)
    counts = np.random.default_rng(0).multinomial(40, np.full(40, 1 / 40), size=1000)
    drawn = {"brier": [], "auroc": [], "own": [], "own brier": []}
    for count in counts:
        items = np.repeat(np.arange(40), count)
        sides = [(chances[items], truth[items]) for chances in (before, after)]
        one, other = (((chances[:, 1] - known) ** 2).mean() for chances, known in sides)
        drawn["brier"].append(other - one)
        drawn["own brier"].append(other)
        one, other = (roc_auc_score(known, chances[:, 1]) for chances, known in sides)
        drawn["auroc"].append(other - one)
        drawn["own"].append(other)
    found, own = change(before, after, truth), scored(after, truth)
    right = [(chances.argmax(axis=1) == truth).tolist() for chances in (before, after)]
    cells = [sum(pair == pairs for pairs in zip(*right, strict=True)) for pair in PAIRS]
    assert found["accuracy"][1:] == pytest.approx([end / 100 for end in textbook.newcombe(*cells)], abs=EXACT)
    for name in ("brier", "auroc"):
        ends = [textbook.quantile(drawn[name], share) for share in (0.025, 0.975)]
        assert found[name][1:] == pytest.approx(ends, abs=EXACT), name
    assert auroc_change(before, after, truth) == found["auroc"]
    assert auroc_of(after, truth) == (own["auroc"], own["auroc_interval"])
    assert own["auroc_interval"] == pytest.approx(
        [textbook.quantile(drawn["own"], s) for s in (0.025, 0.975)], abs=EXACT
    )
    assert own["brier_interval"] == pytest.approx(
        [textbook.quantile(drawn["own brier"], s) for s in (0.025, 0.975)], abs=EXACT
    )
    right = int((after.argmax(axis=1) == truth).sum())
    assert own["accuracy_interval"] == pytest.approx(textbook.wilson(right, 40), abs=EXACT)
    # What a calibrated model would have: outcomes drawn with its own chances.
    chance, sure = np.random.default_rng(0), after.max(axis=1)
    errors = []
    for _ in range(1000):
        came = chance.random(40) < sure
        shares, means = calibration_curve(came, sure, n_bins=10, strategy="uniform")
        sizes = np.bincount(np.searchsorted(np.linspace(0, 1, 11)[1:-1], sure), minlength=10)
        errors.append(np.average(np.abs(shares - means), weights=sizes[sizes > 0]))
    assert own["ece_if_calibrated"] == pytest.approx([np.mean(errors), textbook.quantile(errors, 0.975)], abs=EXACT)


def test_the_forecast_of_the_base_rates():
    values, truth = logs(5)
    answers, known = [LABELS[at] for at in truth], ["calm"] * 5 + ["sad"] * 3 + ["angry"] * 2
    sides = {"text prompt": values, "optimised prompt": 2 * values}
    found = calibration(LABELS, answers, known, sides, [1, 1, 2])
    rates = np.repeat([[0.5, 0.2, 0.3]], len(truth), axis=0)
    assert found["base_rates"]["brier"] == pytest.approx(
        brier_score_loss(truth, rates, labels=range(3), scale_by_half=True), abs=EXACT
    )
    assert found["base_rates"]["accuracy"] == accuracy_score(truth, np.zeros(len(truth), dtype=int))
    assert found["readings"]["text prompt"]["mass"] == pytest.approx(np.exp(values).sum(axis=1).mean(), abs=EXACT)


def test_how_often_a_rate_wins_given_the_same_resamples():
    chance = np.random.default_rng(6)
    curves = []
    for rate in (0.1, 0.01, 0.001):
        items = [chance.gamma(2, 1 + rate, 20).tolist() for _ in range(3)]
        curves.append(Curve("d", "m", rate, tuple(float(np.mean(one)) for one in items), (None,) * 3, tuple(items)))
    wins = Counter()
    for count in np.random.default_rng(0).multinomial(20, [1 / 20] * 20, size=2000):
        lowest = {
            one.rate: min(sum(c * loss for c, loss in zip(count, items, strict=True)) for items in one.items)
            for one in curves
        }
        wins[min(lowest, key=lowest.get)] += 1
    assert {row["learning_rate"]: row["wins_resampled"] for row in table(curves)} == {
        one.rate: pytest.approx(wins[one.rate] / 2000, abs=5e-5 + EXACT) for one in curves
    }


def test_grim_by_trying_every_count():
    """The sizes that a data set's percentages allow, and the counts behind them, from whole numbers and decimal rounding alone."""
    cells = read_cells(ROOT / "config" / "cells.tsv")
    for block in blocks(cells):
        percents = [side for cell in block.cells for side in (cell.before, cell.after)]
        if block.dataset == "medd":
            assert printed_sizes(cells)["medd"] is block.n is None
            continue

        def printed(n):
            return {str((Decimal(100 * k) / n).quantize(Decimal("0.01"), ROUND_HALF_UP)): k for k in range(n + 1)}

        fits = [n for n in range(1, 301) if set(percents) <= set(printed(n))]
        assert fits == [n for n in fitting_sizes(percents) if n <= 300], block.dataset
        assert printed_sizes(cells)[block.dataset] == block.n == fits[0]
        for cell in block.cells:
            known = printed(block.n)
            assert block.counts(cell) == (known[cell.before], known[cell.after])
            assert count_of(cell.before, block.n) == known[cell.before]


def test_chance_by_sums_of_the_binomial():
    """The two-sided exact p of every printed number: all counts that are no likelier than the printed one."""
    cells, labels = read_cells(ROOT / "config/cells.tsv"), read_labels(ROOT / "config/chance.tsv")
    for found in chance_findings(cells, labels):
        count, n = map(int, re.match(r"(\d+) of (\d+)", found.sentence).groups())
        known = labels[found.where.split("/")[0]]
        written = re.findall(r"\(p (?:= (\S+)|< 1e-300)\)", found.sentence)
        for text, level in zip(written, (1 / known.classes, known.count / known.items), strict=True):
            chances = binom.pmf(np.arange(n + 1), n, level)
            p = chances[chances <= chances[count] * (1 + 1e-7)].sum()
            assert (f"{min(p, 1.0):.2g}" if p else "") == text, found.where
        low, high = textbook.wilson(count, n)
        assert f"% [{100 * low:.1f}, {100 * high:.1f}]" in found.sentence
