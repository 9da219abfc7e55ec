"""Mixed models, components of variance, correlation and protocol recovery against others' code or plain loops."""

import math
import random

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
import textbook
from reporting_samples import DEMO_SIZES, demo_cells, make_run
from scipy import stats
from statsmodels.stats.anova import anova_lm
from textbook import EXACT

from embedgrad.probes.variance.components import Design, expected_forms, identifiable
from embedgrad.probes.variance.gain import variance
from embedgrad.probes.variance.runs import CellRun
from embedgrad.reporting.analyses import correlation, seed_rows
from embedgrad.reporting.recovery import MENTION, Search, axes, ranked
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect, whole_tasks
from embedgrad.reporting.statistics import crossed


def mean_squares(gains):
    """Of a two-way table without interaction, by statsmodels' least squares, in squared points."""
    seeds, items = (axis.ravel() for axis in np.indices(np.shape(gains)))
    frame = pd.DataFrame({"gain": 100.0 * np.ravel(gains), "seed": seeds, "item": items})
    table = anova_lm(smf.ols("gain ~ C(seed) + C(item)", frame).fit())
    return table["mean_sq"].tolist(), table["df"].tolist()


@pytest.mark.parametrize("draw", range(12))
def test_the_mixed_model_of_seeds_by_the_analysis_of_variance_of_statsmodels(draw):
    """The cases in which a component comes out negative are among them."""
    chance = np.random.default_rng(draw)
    gains = chance.integers(-1, 2, (3, 14)) * (chance.random(14) < 0.6)
    gains = np.clip(gains + (chance.random((3, 1)) < 0.3 * (draw % 3)), -1, 1)
    (seed, item, rest), (free_seed, free_item, free_rest) = mean_squares(gains)
    s, n = gains.shape
    parts = max(item - rest, 0) / s, max(seed - rest, 0) / n
    found = crossed(gains.tolist())
    assert (found.items, found.seeds, found.rest) == pytest.approx([part**0.5 for part in (*parts, rest)], abs=1e-6)
    # Variance of the mean: the mean squares of what varies, less the rest's where both do; Satterthwaite's degrees of freedom.
    terms = [(item, free_item)] * (parts[0] > 0) + [(seed, free_seed)] * (parts[1] > 0) or [(rest, free_rest)]
    if len(terms) == 2:
        terms.append((-rest, free_rest))
    total = sum(square for square, _ in terms)
    free = total**2 / sum(square**2 / degrees for square, degrees in terms)
    error, mean = math.sqrt(total / s / n), 100 * gains.mean()
    assert found.interval == pytest.approx(stats.t.interval(0.95, free, mean, error), abs=1e-7)
    assert found.p == pytest.approx(2 * stats.t.cdf(-abs(mean) / error, free), abs=EXACT)


def test_rows_of_seeds_are_the_mixed_models(tmp_path):
    cells = [cell for cell in read_cells(demo_cells(tmp_path / "cells.tsv")) if cell.dataset == "sentiment"][:1]
    folder = make_run(tmp_path / "run", cells, DEMO_SIZES, seeds=(0, 1, 2))
    (outcome,) = collect(cells, folder, seeds=[0, 1, 2])
    (row,) = seed_rows([outcome])
    found = outcome.pooled
    assert (
        row["gain_points"]
        == round(found.mean, 2)
        == round(np.mean([one["delta"]["points"] for one in outcome.metrics]), 2)
    )
    assert (row["low"], row["high"]) == tuple(round(end, 2) for end in found.interval)
    assert (row["sd_items"], row["sd_seeds"], row["sd_rest"]) == tuple(
        round(sd, 2) for sd in (found.items, found.seeds, found.rest)
    )


def unbalanced(seed):
    """Runs whose test halves differ: 3 splits, 2 orders, 2 starts, 16 of 30 items each."""
    chance, runs = random.Random(seed), []
    for split in range(3):
        half = sorted(chance.sample(range(30), 16))
        for order in range(2):
            for start in range(2):
                share = 0.4 + 0.1 * split + 0.1 * start
                verdicts = {str(item): (chance.random() < 0.3, chance.random() < share) for item in half}
                runs.append(CellRun(split, order, start, verdicts))
    return runs


@pytest.mark.parametrize("seed", range(4))
def test_components_of_variance_by_dense_matrices(seed):
    """MINQUE(0) as its definition has it: y'MV_kMy = sum over l of tr(MV_kMV_l) times the variance of l."""
    rows = []
    for run in unbalanced(seed):
        for item, (before, after) in run.verdicts.items():
            order = (run.split, run.order)
            rows.append(
                (100.0 * (after - before), item, run.split, order, (*order, run.displacement), (item, run.split))
            )
    columns = list(zip(*rows, strict=True))
    values, names = np.array(columns[0]), ("item", "split", "order", "displacement", "item in split")
    levels = {name: pd.factorize(pd.Series(list(column)))[0] for name, column in zip(names, columns[1:], strict=True)}
    kept, left_out = identifiable(levels)
    assert (set(kept), left_out) == (set(names), [])
    size = len(values)
    centring = np.eye(size) - 1 / size
    alike = [centring @ (codes[:, None] == codes[None, :]) @ centring for codes in levels.values()] + [centring]
    expected = [[np.trace(one @ other) for other in alike] for one in alike]
    forms = [textbook.quadratic(values, codes) for codes in levels.values()] + [
        textbook.quadratic(values, np.arange(size))
    ]
    wanted = np.linalg.solve(expected, forms)
    found = Design(kept).estimates(values)
    assert [found[name] for name in (*names, "rest")] == pytest.approx(wanted.tolist(), rel=1e-8, abs=1e-6)
    told = variance(unbalanced(seed))
    clipped = {name: max(value, 0.0) for name, value in found.items()}
    covariance = sum(clipped[name] * (codes[:, None] == codes[None, :]) for name, codes in levels.items())
    covariance = covariance + clipped["rest"] * np.eye(size)
    whole = covariance.sum() / size**2
    assert Design(kept).of_mean(found) == pytest.approx(whole)
    assert expected_forms(kept) == pytest.approx(np.array(expected))
    shares = [float((np.bincount(codes) ** 2).sum()) / size**2 for codes in levels.values()] + [1 / size]
    used = [share if found[name] > 0 else 0.0 for name, share in zip((*names, "rest"), shares, strict=True)]
    form = sum(c * one for c, one in zip(np.linalg.solve(np.transpose(expected), used), alike, strict=True))
    free = Design(kept).errors(found).freedom
    product = form @ covariance
    assert free == pytest.approx(max(2 * whole**2 / (2 * np.trace(product @ product)), 1), rel=0.2)  # of 1,000 draws
    half = stats.t.ppf(0.975, free) * math.sqrt(whole)
    assert told["mean"] == pytest.approx(values.mean(), abs=EXACT)
    assert told["interval"] == pytest.approx([values.mean() - half, values.mean() + half], abs=1e-6)
    single = covariance[:16, :16].sum() / 16**2  # of the first run, whose items are all different
    assert told["single"]["sd"] == pytest.approx(math.sqrt(single), abs=1e-6)


@pytest.mark.parametrize("name", ["order", "split", "item", "rest"])
def test_ends_of_a_spread_are_where_the_estimate_is_in_a_tail(name):
    """By tables drawn from dense covariances: at either end one table of forty is as far from it as the one that was seen."""
    chance = np.random.default_rng(3)
    items, splits, orders = 12, 6, 3
    order, item = (axis.ravel() for axis in np.indices((splits * orders, items)))
    levels = {"item": item, "split": order // orders, "order": order}
    alike = {key: (codes[:, None] == codes[None, :]).astype(float) for key, codes in levels.items()} | {
        "rest": np.eye(len(item))
    }
    planted = {"item": 20.0, "split": 15.0, "order": 12.0, "rest": 30.0}

    def drawn(spread, count):
        root = np.linalg.cholesky(sum(sd**2 * alike[key] for key, sd in spread.items()) + 1e-9 * np.eye(len(item)))
        return [Design(levels).estimates(root @ chance.standard_normal(len(item)))[name] for _ in range(count)]

    found = Design(levels).estimates(
        np.linalg.cholesky(sum(sd**2 * alike[key] for key, sd in planted.items())) @ chance.standard_normal(len(item))
    )
    low, high = Design(levels).errors(found).intervals[name]
    assert low <= max(found[name], 0) ** 0.5 < high
    others = {key: max(value, 0.0) ** 0.5 for key, value in found.items()}
    assert np.mean(np.array(drawn(others | {name: high}, 800)) <= found[name]) == pytest.approx(0.025, abs=0.025)
    above = np.mean(np.array(drawn(others | {name: low}, 800)) >= found[name])
    assert above == pytest.approx(0.025, abs=0.025) if low else above > 0.01


def ranks(values):
    return [sum(other < one for other in values) + (sum(other == one for other in values) + 1) / 2 for one in values]


def pearson(one, other):
    left, right = np.subtract(one, np.mean(one)), np.subtract(other, np.mean(other))
    return float(left @ right / math.sqrt((left @ left) * (right @ right)))


def test_entropy_and_accuracy_by_definitions_given_the_same_resamples(tmp_path):
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    outcomes = collect(cells, make_run(tmp_path / "run", cells, DEMO_SIZES))
    found = correlation(outcomes, draws=300, seed=5)
    kept, drops, gains = [], [], []
    for outcome in whole_tasks([one for one in outcomes if one.gain]):
        sides = [outcome.metrics[0][side]["entropy_bits"]["mean_without_loops"] for side in ("before", "after")]
        kept.append(outcome.cell.task)
        drops.append(sides[0] - sides[1])
        gains.append(outcome.metrics[0]["delta"]["points"])
    r, n = pearson(drops, gains), len(kept)
    assert found["n"] == n >= 4
    assert found["pearson_r"] == round(r, 4)
    reach = stats.norm.ppf(0.975) / math.sqrt(n - 3)
    assert (found["low"], found["high"]) == tuple(round(math.tanh(math.atanh(r) + side * reach), 4) for side in (-1, 1))
    rho = pearson(ranks(drops), ranks(gains))
    assert found["spearman_rho"] == round(rho, 4)
    for name, value in (("pearson_p", r), ("spearman_p", rho)):
        t = abs(value) * math.sqrt((n - 2) / (1 - value**2))
        assert found[name] == round(2 * stats.t.sf(t, n - 2), 4)
    # The same tasks drawn, their pairs put together with loops.
    names, chance, values = sorted(set(kept)), np.random.default_rng(5), []
    if len(names) < 3:
        assert found["cluster_low"] is None
        return
    for _ in range(300):
        picked = [names[place] for place in chance.integers(len(names), size=len(names))]
        pairs = [(x, y) for name in picked for task, x, y in zip(kept, drops, gains, strict=True) if task == name]
        one, other = zip(*pairs, strict=True)
        if len(set(one)) > 1 and len(set(other)) > 1:
            values.append(pearson(one, other))
    wanted = [round(textbook.quantile(values, share), 4) for share in (0.025, 0.975)]
    assert [found["cluster_low"], found["cluster_high"]] == pytest.approx(wanted, abs=1.01e-4)


def searches(chance, cells=3):
    """Random counts of three tasks: one with a strict reading, one of boxes, one without a template."""
    found = []
    for place in range(cells):
        rows = []
        for layout in ("bare",) if place == 2 else ("bare", "chat"):
            for share in (0.5, 1.0):
                readings = (
                    [{"strict": False, "box": box} for box in ("last", "first")]
                    if place == 1
                    else [{"strict": s} for s in (False, True)]
                )
                for reading in readings:
                    named = {"layout": layout, "limit_share": share, "stop_rule": "family", **reading}
                    n = int(chance.integers(5, 90))
                    rows.append(
                        {"protocol": named, "levels": {"": {"correct": int(chance.integers(0, n + 1)), "n": n}}}
                    )
        own = {"layout": "bare", "limit_share": 1.0, "stop_rule": "family", "strict": False}
        found.append(Search({"protocols": rows, "own": own}, "", (int(chance.integers(0, 85)), 84), f"cell {place}"))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_posteriors_of_protocols_by_the_gamma_function_and_plain_loops(seed):
    some = searches(np.random.default_rng(seed))
    rows = ranked(some)
    total = {}
    for layout in ("bare",):  # the third task knows no other, and a protocol is compared on all cells
        for share in (0.5, 1.0):
            for strict in (False, True):
                for box in ("last", "first"):
                    value = 0.0
                    for place, search in enumerate(some):
                        for row in search.grid["protocols"]:
                            named = row["protocol"]
                            same = named["layout"] == layout and named["limit_share"] == share
                            same = same and (named["box"] == box if place == 1 else named["strict"] == strict)
                            if same:
                                c, n = row["levels"][""]["correct"], row["levels"][""]["n"]
                                value += textbook.beta_binomial(*search.printed, c + 0.5, n - c + 0.5)
                    total[layout, share, strict, box] = value
    keys = ("layout", "limit_share", "strict", "box")
    assert {tuple(row[key] for key in keys) for row in rows} == set(total)
    whole = sum(math.exp(value) for value in total.values())
    for row in rows:
        mine = total[tuple(row[key] for key in keys)]
        assert row["log_likelihood"] == pytest.approx(mine, abs=5e-7 + EXACT)
        assert row["posterior"] == pytest.approx(math.exp(mine) / whole, rel=1e-8)
        assert row["rank"] == 1 + sum(round(other, 6) > round(mine, 6) for other in total.values())
        assert row["own_protocol"] == (row["limit_share"] == 1.0 and not row["strict"] and row["box"] == "last")
    frame = pd.DataFrame(rows)
    for row in axes(rows):
        means = frame.groupby(row["choice"])["posterior"].mean()
        assert row["posterior"] == pytest.approx(means[row["value"]] / means.sum(), rel=EXACT)
        assert row["factor"] == pytest.approx(means.max() / means[row["value"]], rel=EXACT)
        near = int((means.max() / means < MENTION).sum())
        word = "less likely" if row["factor"] >= MENTION else "cannot be told apart" if near > 1 else "likeliest"
        assert row["word"] == word
