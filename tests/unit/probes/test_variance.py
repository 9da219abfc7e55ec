"""Components of variance: planted ones come back, and on full tables they are those of others."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from reporting_samples import DEMO_SIZES, demo_cells, make_run

from embedgrad.probes.applies import DoesNotApply
from embedgrad.probes.variance.components import Design, identifiable
from embedgrad.probes.variance.gain import variance
from embedgrad.probes.variance.runs import CellRun, cell_runs
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.statistics import crossed
from embedgrad_core.files import UserError, read_json, write_json

PLANTED = {"item": 30.0, "split": 8.0, "order": 5.0, "item in split": 12.0, "rest": 35.0}


def half_tests(chance, items=60, splits=5, orders=3):
    """Outcomes with the planted standard deviations; each split's test half holds half of the items."""
    hard = chance.normal(0, PLANTED["item"], items)
    values, codes = [], {name: [] for name in ("item", "split", "order", "item in split")}
    for split in range(splits):
        half = chance.permutation(items)[: items // 2]
        of_split = chance.normal(0, PLANTED["split"])
        here = chance.normal(0, PLANTED["item in split"], items)
        for order in range(orders):
            rest = chance.normal(0, PLANTED["rest"], len(half)) + chance.normal(0, PLANTED["order"])
            values.append(hard[half] + of_split + here[half] + rest)
            codes["item"].append(half)
            codes["split"].append(np.full(len(half), split))
            codes["order"].append(np.full(len(half), split * orders + order))
            codes["item in split"].append(half + items * split)
    factors = {name: np.unique(np.concatenate(some), return_inverse=True)[1] for name, some in codes.items()}
    return np.concatenate(values), factors


def test_planted_components_come_back_from_halves_of_the_items():
    chance = np.random.default_rng(4)
    tables = [half_tests(chance) for _ in range(120)]
    found = [Design(factors).estimates(values) for values, factors in tables]
    for name, sd in PLANTED.items():
        drawn = [one[name] for one in found]
        assert np.mean(drawn) == pytest.approx(sd**2, abs=4 * np.std(drawn) / np.sqrt(len(drawn))), name
        assert np.std(drawn) / np.sqrt(len(drawn)) < 0.4 * sd**2, name  # else it would let anything pass


@pytest.mark.parametrize("seed", range(5))
def test_a_full_table_of_items_and_orders_has_the_components_of_table_2(seed):
    gains = np.random.default_rng(seed).integers(-1, 2, (4, 25)) + np.eye(4, 25)
    factors = {"item": np.tile(np.arange(25), 4), "order": np.repeat(np.arange(4), 25)}
    found, known = Design(factors).estimates(100 * gains.ravel()), crossed(gains.tolist())
    for name, sd in (("item", known.items), ("order", known.seeds), ("rest", known.rest)):
        assert max(found[name], 0) ** 0.5 == pytest.approx(sd)


def test_the_mean_of_a_full_table_has_the_interval_of_table_2():
    chance = np.random.default_rng(3)
    hard = chance.random(60) < 0.4
    orders = []
    for order in range(4):
        after = np.where(chance.random(60) < 0.2 + 0.1 * order, True, hard)
        verdicts = {str(item): (False, bool(right)) for item, right in enumerate(after)}
        orders.append(CellRun(0, order, None, verdicts))
    found, known = variance(orders), crossed([[int(b) - int(a) for a, b in run.verdicts.values()] for run in orders])
    assert known.seeds > 0
    assert found["interval"] == pytest.approx(list(known.interval), abs=0.03 * (known.interval[1] - known.interval[0]))


def test_spreads_of_few_levels_have_intervals_that_hold_them():
    """Three orders of one split: percentiles of a bootstrap around the estimate would hold the truth in four of five tables."""
    chance, held, tables = np.random.default_rng(6), 0, 80
    factors = {"item": np.tile(np.arange(30), 3), "order": np.repeat(np.arange(3), 30)}
    for table in range(tables):
        values = chance.normal(0, 20, 30)[factors["item"]] + chance.normal(0, 15, 3)[factors["order"]]
        values = values + chance.normal(0, 25, len(values))
        low, high = Design(factors).errors(Design(factors).estimates(values), seed=table).intervals["order"]
        held += low <= 15 and (high is None or high >= 15)
    assert 0.89 * tables <= held <= tables


def test_what_no_table_can_bound_has_no_upper_end():
    """Two orders whose effect the estimate may miss altogether, as the items' own chance is much larger."""
    factors = {"item": np.tile(np.arange(10), 2), "order": np.repeat(np.arange(2), 10)}
    values = np.random.default_rng(1).normal(0, 30, 20)
    low, high = Design(factors).errors(Design(factors).estimates(values)).intervals["order"]
    assert low == 0
    assert high is None or high > 30


def test_a_full_nested_table_has_the_components_of_statsmodels():
    chance = np.random.default_rng(8)
    items, splits, orders = 12, 4, 3
    at = pd.DataFrame(
        [
            (item, split, f"{split}/{order}")
            for split in range(splits)
            for order in range(orders)
            for item in range(items)
        ],
        columns=["item", "split", "order"],
    )
    parts = {name: {level: chance.normal(0, 3) for level in at[name].unique()} for name in at}
    at["value"] = sum(at[name].map(parts[name]) for name in parts) + chance.normal(0, 2, len(at))
    formulas = {name: f"0 + C({name})" for name in parts}
    model = smf.mixedlm("value ~ 1", at, groups=np.ones(len(at)), vc_formula=formulas).fit(reml=True)
    factors = {name: pd.factorize(at[name])[0] for name in parts}
    found = Design(factors).estimates(at["value"].to_numpy())
    assert min(found.values()) > 0  # where REML is the analysis of variance
    for name, value in zip(model.model.exog_vc.names, model.vcomp, strict=True):
        assert found[name] == pytest.approx(value, rel=0.01), name
    assert found["rest"] == pytest.approx(model.scale, rel=0.01)


def runs(chance, gained, orders):
    """Runs of a cell of 80 items, 40 in each test half; ``gained`` is the share of items that each split gains."""
    found = []
    for split, share in enumerate(gained):
        half = chance.permutation(80)[:40]
        for order in range(orders):
            after = chance.random(40) < share
            verdicts = {f"i{item}": (False, bool(right)) for item, right in zip(half, after, strict=True)}
            found.append(CellRun(split, order, None, verdicts))
    return found


def test_splits_that_differ_make_a_single_one_worth_less_than_its_items_say():
    chance = np.random.default_rng(2)
    alike = variance(runs(chance, [0.4] * 5, 3))
    apart = variance(runs(chance, [0.1, 0.3, 0.4, 0.5, 0.7], 3))
    assert alike["single"]["ratio"] < 1.5 < 2 < apart["single"]["ratio"]
    assert apart["components"]["split"]["sd"] == pytest.approx(22.4, rel=0.3)
    assert apart["components"]["split"]["interval"][0] > 0
    assert alike["components"]["split"]["interval"][0] == 0
    assert alike["covered"] >= 13 > apart["covered"]
    low, high = apart["interval"]
    assert low < apart["mean"] < high
    assert apart["mean"] == pytest.approx(np.mean([one["points"] for one in apart["gains"]]))
    assert (apart["runs"], apart["items"], len(apart["gains"])) == (15, 40.0, 15)


def test_what_varies_together_is_named():
    found = variance(runs(np.random.default_rng(0), [0.4] * 4, 1))
    assert "order" not in found["components"]
    assert found["confounded"] == ["order", "item in split"]
    factors = {"a": np.array([0, 0, 1, 1]), "b": np.array([1, 1, 0, 0]), "c": np.zeros(4, dtype=int)}
    assert (list(identifiable(factors)[0]), identifiable(factors)[1]) == (["a"], ["b"])


def test_planted_starts_are_told_from_orders_and_splits():
    """Runs drawn from a truth in which the start moves the gain by 20 points, the order by none, the split by 10."""
    chance = np.random.default_rng(5)
    found = []
    for split in range(8):
        of_split = chance.normal(0, 0.10)
        for order in range(3):
            for displacement in range(4):
                share = min(max(0.45 + of_split + chance.normal(0, 0.20), 0), 1)
                after = chance.random(60) < share
                verdicts = {f"{split}/{item}": (False, bool(right)) for item, right in enumerate(after)}
                found.append(CellRun(split, order, displacement, verdicts))
    parts = variance(found)["components"]
    assert parts["displacement"]["interval"][0] <= 20 <= parts["displacement"]["interval"][1]
    assert parts["displacement"]["sd"] == pytest.approx(20, rel=0.25)
    assert parts["order"]["sd"] < 8 < parts["displacement"]["interval"][0]
    assert parts["split"]["interval"][0] <= 10 <= parts["split"]["interval"][1]
    assert parts["displacement"]["levels"] == 96


def test_a_full_table_of_starts_within_orders_has_the_components_of_the_textbook():
    """Nested analysis of variance with loops: items crossed with orders, starts within orders."""
    chance = np.random.default_rng(11)
    orders, starts, items = 4, 3, 30
    table = chance.normal(0, 3, (orders, 1, 1)) + chance.normal(0, 2, (orders, starts, 1))
    table = table + chance.normal(0, 4, items) + chance.normal(0, 1, (orders, starts, items))
    order, start, item = (axis.ravel() for axis in np.indices(table.shape))
    found = Design({"item": item, "order": order, "displacement": order * starts + start}).estimates(table.ravel())
    by_item, by_order, by_start = table.mean((0, 1)), table.mean((1, 2)), table.mean(2)
    ms_order = starts * items * ((by_order - table.mean()) ** 2).sum() / (orders - 1)
    ms_start = items * ((by_start - by_order[:, None]) ** 2).sum() / (orders * (starts - 1))
    ms_item = orders * starts * ((by_item - table.mean()) ** 2).sum() / (items - 1)
    rest = table - by_start[..., None] - by_item + table.mean()
    ms_rest = (rest**2).sum() / ((orders * starts - 1) * (items - 1))
    assert found["displacement"] == pytest.approx((ms_start - ms_rest) / items, rel=1e-9)
    assert found["order"] == pytest.approx((ms_order - ms_start) / (starts * items), rel=1e-9)
    assert found["item"] == pytest.approx((ms_item - ms_rest) / (orders * starts), rel=1e-9)
    assert found["rest"] == pytest.approx(ms_rest, rel=1e-9)


def displaced(folder, one, length, seed):
    """A run of a cell whose start was so displaced."""
    make_run(folder, [one], DEMO_SIZES, seeds=(0, 1), seed=seed)
    write_json(folder / "data/sentiment/split.json", {"split": {"seed": 0}})
    for order in (0, 1):
        path = folder / f"sentiment/tiny-0.2m/seed{order}/metrics.json"
        metrics = read_json(path)
        metrics["prompt"]["settings"] = {"initial_displacement": length, "displacement_seed": seed}
        write_json(path, metrics)
    return folder


def test_runs_of_other_starts_are_read_beside_this_one(tmp_path):
    one = next(cell for cell in read_cells(demo_cells(tmp_path / "cells.tsv")) if cell.dataset == "sentiment")
    folders = [displaced(tmp_path / f"start{seed}", one, 0.1, seed) for seed in range(3)]
    found = cell_runs(one, folders)
    assert [(run.split, run.order, run.displacement) for run in found] == [
        (0, n, seed) for seed in range(3) for n in (0, 1)
    ]
    assert {"order", "displacement"} <= set(variance(found)["components"])
    with pytest.raises(UserError, match=r"has split\.seed 0 and optimize\.displacement_seed 1, as"):
        cell_runs(one, [folders[1], folders[1]])
    with pytest.raises(
        UserError, match=r"starts 0\.2 of an embedding's length from the text, and .* 0\.1; give runs of one"
    ):
        cell_runs(one, [folders[0], displaced(tmp_path / "further", one, 0.2, 1)])
    broken = displaced(tmp_path / "broken", one, "far", 1)
    with pytest.raises(UserError, match=r"key 'prompt\.settings\.initial_displacement' is of the wrong kind"):
        cell_runs(one, [broken])


def test_one_run_or_a_handful_of_items_are_no_result():
    some = runs(np.random.default_rng(0), [0.4] * 2, 1)
    with pytest.raises(DoesNotApply, match="two runs"):
        variance([some[0], some[0]])
    few = [CellRun(one.split, 0, None, dict(list(one.verdicts.items())[:4])) for one in some]
    with pytest.raises(DoesNotApply, match="4 test items"):
        variance(few)


def test_runs_of_other_splits_are_read_beside_this_one_and_one_split_twice_is_refused(tmp_path):
    table = demo_cells(tmp_path / "cells.tsv")
    cells = read_cells(table)
    one = next(cell for cell in cells if cell.dataset == "sentiment")
    folders = [tmp_path / f"split{seed}" for seed in range(3)]
    for seed, folder in enumerate(folders):
        make_run(folder, [one], DEMO_SIZES, seeds=(0, 1), seed=seed)
        write_json(folder / "data/sentiment/split.json", {"split": {"seed": seed}})
    found = cell_runs(one, folders)
    assert [(run.split, run.order, len(run.verdicts)) for run in found] == [
        (split, order, 64) for split in range(3) for order in range(2)
    ]
    known = [read_json(folder / "sentiment/tiny-0.2m/seed1/metrics.json")["delta"]["points"] for folder in folders]
    assert [run.pairs.points for run in found[1::2]] == pytest.approx(known)
    with pytest.raises(UserError, match=r"has split\.seed 1"):
        cell_runs(one, [folders[1], folders[1]])
    with pytest.raises(UserError, match=r"no metrics\.json"):
        cell_runs(next(cell for cell in cells if cell.dataset == "parity"), [_empty(tmp_path)])


def _empty(folder):
    write_json(folder / "empty/data/parity/split.json", {"split": {"seed": 9}})
    return folder / "empty"
