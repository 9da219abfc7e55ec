"""The table of rivals against hand counts, and its figures."""

from dataclasses import replace
from itertools import pairwise

import pytest
from drawn import apart
from hypothesis import given
from hypothesis import strategies as st
from reporting_samples import cell, graded
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from embedgrad.reporting.figures.drawing import save
from embedgrad.reporting.figures.rivals import AXES, FAMILIES, _front, scatter, spread
from embedgrad.reporting.latency import COLUMNS, add_latency
from embedgrad.reporting.rivals.entries import NEEDS, Entry
from embedgrad.reporting.rivals.numbers import numbers
from embedgrad.reporting.rivals.words import markdown
from embedgrad.reporting.statistics import crossed, wilson
from embedgrad.rivals.table import RIVALS
from embedgrad_core.files import UserError, write_json


def answers(right, n=40, wrong="wrong"):
    return [graded(f"i/{k}", "none" if k in right else wrong, n_tokens=10) for k in range(n)]


@pytest.fixture
def entries():
    one = cell(dataset="imdb", task="imdb")
    lora = {"settings": {"learning_rate": 0.001}, "best_epoch": 3, "trained_parameters": 1500, "stored_bytes": 6000}
    lora |= {"fit_seconds": 12.5, "peak_memory_bytes": 10**9, "item_forwards": 600, "threads": 1}
    lora |= {"fit_cpu_seconds": 11.5, "dev_seconds": 4.5, "trained_tokens": 800, "memory_above_loading_bytes": 10**8}
    return [
        Entry(one, "text prompt", "", [answers(range(10), wrong="truncated")], answers=[{"positions": 20}]),
        Entry(
            one,
            "embedgrad",
            "embedgrad",
            [answers(range(20)), answers(range(22)), answers(range(30))],
            [{"trained_parameters": 640, "settings": {"learning_rate": 0.01}}] * 3,
            [{"positions": 20}] * 3,
            [
                [
                    {"epoch": 0, "train_seconds": 0.0, "train_cpu_seconds": 0.0, "train_tokens": 0, "seconds": 0.5},
                    {"epoch": 1, "train_seconds": 2.25, "train_cpu_seconds": 2.0, "train_tokens": 70, "seconds": 3.0},
                ]
            ]
            * 3,
        ),
        Entry(
            one,
            "lora",
            "weights",
            [answers(range(5, 35))],
            [lora],
            [{"positions": 20, "calls": 1.0}],
            chosen={"at_edge": True},
        ),
        Entry(one, "self_refine_1", "at_test_time", [answers(range(8))], [{}], [{"positions": 20, "calls": 2.5}]),
    ]


def test_differences_are_means_over_all_seeds(entries):
    """EmbedGrad has items 0-19, 0-21 and 0-29 right, LoRA's one seed 5-34: beside each seed 15 - 5, 13 - 5 and 5 - 5 more."""
    text, own, lora, refine = numbers(entries)
    assert (own["correct"], own["accuracy"], own["lowest_accuracy"], own["highest_accuracy"]) == (72, 0.6, 0.5, 0.75)
    assert "delta" not in own
    assert lora["delta"] == pytest.approx(100 * (10 + 8 + 0) / 3 / 40)
    gains = [[(5 <= k < 35) - (k < most) for k in range(40)] for most in (20, 22, 30)]
    assert (lora["delta"], lora["delta_low"], lora["delta_high"], lora["p"]) == pytest.approx(
        (crossed(gains).mean, *crossed(gains).interval, crossed(gains).p)
    )
    assert lora["delta_of"] == "mixed model"
    # Holm's family: the text prompt is no rival.
    raw = [lora["p"], refine["p"]]
    assert (text["p"] is not None, text["p_holm"]) == (True, None)
    assert [lora["p_holm"], refine["p_holm"]] == pytest.approx(multipletests(raw, method="holm")[1])
    assert (text["failure_truncated"], text["failure_wrong"], own["failure_wrong"]) == (30, 0, 20 + 18 + 10)
    right = [[int(k < most) for k in range(40)] for most in (20, 22, 30)]
    assert (own["accuracy_low"], own["accuracy_high"]) == pytest.approx([one / 100 for one in crossed(right).interval])
    assert (lora["accuracy_low"], lora["accuracy_high"]) == wilson(30, 40)


def test_no_seed_is_picked_by_its_test_accuracy(entries):
    """Seeds in another order, on both sides alike, change nothing."""
    _, own, lora, _ = entries
    three = replace(
        lora, graded=[answers(range(m)) for m in (9, 31, 12)], fits=list(lora.fits) * 3, answers=list(lora.answers) * 3
    )
    found = numbers([own, three])[1]
    gains = [[(k < mine) - (k < other) for k in range(40)] for mine, other in ((9, 20), (31, 22), (12, 30))]
    assert (found["delta"], found["p"]) == pytest.approx((crossed(gains).mean, crossed(gains).p))
    turned = [replace(one, graded=[one.graded[place] for place in (2, 0, 1)]) for one in (own, three)]
    again = numbers(turned)[1]
    assert all(again[key] == pytest.approx(value) for key, value in found.items() if isinstance(value, float))


def test_one_seed_on_both_sides_has_the_exact_test(entries):
    _, own, lora, _ = entries
    row = numbers([replace(own, graded=own.graded[1:2], fits=own.fits[:1], histories=own.histories[:1]), lora])[1]
    # Items 5-34 and 0-21: 13 more, 5 fewer.
    assert (row["delta"], row["p"], row["delta_of"]) == (
        20,
        pytest.approx(binomtest(5, 18).pvalue),
        "items of one seed",
    )
    assert row["delta_low"] < 20 < row["delta_high"]


def test_costs_are_means_over_the_seeds(entries):
    text, own, lora, refine = numbers(entries)
    assert (lora["learning_rate"], lora["rate_at_edge"], lora["fit_seconds"], lora["needs"]) == (
        0.001,
        True,
        12.5,
        "modules",
    )
    assert (own["fit_seconds"], own["trained_parameters"]) == (2.25, 640)
    costs = ("fit_cpu_seconds", "dev_seconds", "trained_tokens", "memory_above_loading_bytes", "fit_threads")
    assert [lora[name] for name in costs] == [11.5, 4.5, 800, 10**8, 1]
    # Of EmbedGrad's own history: dev is what its epochs took besides.
    assert [own[name] for name in costs[:3]] == [2.0, 1.25, 70]
    assert [text[name] for name in costs[:3]] == [0.0, 0.0, 0]
    two = [{**entries[2].fits[0], "best_epoch": 4, "fit_cpu_seconds": 12.5}, entries[2].fits[0]]
    both = replace(
        entries[2], graded=list(entries[2].graded) * 2, fits=two, answers=[{"positions": 20}, {"positions": 23}]
    )
    mean = numbers([entries[1], both])[1]
    assert (mean["best_epoch"], mean["fit_cpu_seconds"], mean["positions"]) == (3.5, 12.0, 21.5)
    assert (text["trained_parameters"], text["fit_seconds"], text["needs"]) == (0, 0.0, "nothing")
    assert (refine["calls"], refine["tokens_an_answer"]) == (2.5, 10)


@pytest.mark.parametrize(
    ("fits", "found"),
    [
        ([{"best_epoch": 10, "settings": {"epochs": 10}}, {"best_epoch": 4, "settings": {"epochs": 10}}], True),
        ([{"best_epoch": 9, "settings": {"epochs": 10}}], False),
        ([{"best_epoch": 12, "settings": None, "epochs_allowed": 12}], True),
        ([{"best_epoch": 1, "settings": None, "epochs_allowed": None}], None),
        ([{}], None),
    ],
)
def test_a_fit_at_its_best_in_its_last_epoch_is_marked(entries, fits, found):
    lora = replace(entries[2], graded=list(entries[2].graded) * len(fits), fits=fits, answers=[{}] * len(fits))
    row = numbers([entries[1], lora])[1]
    assert row["at_epoch_cap"] is found
    assert ("†" in markdown([row]).split("\n\n")[1]) is bool(found)


def test_keys_and_values_are_counted_for_every_row_of_a_cell(entries):
    """A position's bytes come from a method that was answered by this model; a method whose positions are unknown has none."""
    text, own, lora, refine = entries
    with_bytes = replace(lora, answers=[{"positions": 20, "calls": 1.0, "kv_bytes_a_position": 46_080}])
    found = numbers([text, own, with_bytes, replace(refine, answers=[{"calls": 2.5}])])
    assert [row["kv_bytes"] for row in found] == [20 * 46_080] * 3 + [None]
    assert [row["kv_bytes"] for row in numbers(entries)] == [None] * 4


def test_readable_answers_are_those_that_something_was_extracted_from(entries):
    some = [row | {"extracted": None if k < 10 else row["extracted"]} for k, row in enumerate(answers(range(40)))]
    whole = [row | {"extracted": "positive"} for row in answers(range(40))]
    lora = replace(entries[2], graded=[some, whole], fits=list(entries[2].fits) * 2, answers=[{}] * 2)
    row = numbers([entries[1], lora])[1]
    assert row["readable_answers"] == pytest.approx(1 - 10 / 80)


def test_the_table_for_people_names_every_method_and_marks_the_edge(entries):
    text = markdown(numbers(entries))
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][2:] == [
        "text prompt",
        "embedgrad",
        "lora",
        "self_refine_1",
    ]
    assert "0.001*" in text
    assert "1.5 k" in text


def test_latency_stands_beside_the_method_it_was_measured_of(entries, tmp_path):
    rows = numbers(entries)
    lora = tmp_path / "rivals" / rows[2]["dataset"] / rows[2]["model"] / "lora"
    measured = {"first_token_ms": 40.5, "token_ms": 12.25, "first_token_ratio": 1.5, "token_ratio": 1.256}
    write_json(lora / "seed3" / "answer.run.json", {"fitted_sha256": "one"})
    write_json(lora / "cost.json", {**measured, "fitted_sha256": "one", "quartiles": {}})
    found = add_latency(rows, tmp_path, 3)
    assert {name: found[2][name] for name in COLUMNS} == measured
    assert [found[place]["token_ratio"] for place in (0, 1, 3)] == [None] * 3
    text = markdown(found)
    column = next(line for line in text.splitlines() if line.startswith("| method")).split("|").index(" ms a token × ")
    told = [line.split("|")[column].strip() for line in text.splitlines() if line.startswith("| ")][2:]
    assert told == ["", "", "1.26", ""]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"fitted_sha256": "two"},
            "cost.json: was measured of another fit than .*answer.run.json tells of; measure again",
        ),
        ({"token_ms": "fast"}, "cost.json: not what `embedgrad rival cost` writes; measure again"),
    ],
)
def test_the_latency_of_another_fit_is_one_error(entries, tmp_path, changes, told):
    rows = numbers(entries)
    lora = tmp_path / "rivals" / rows[2]["dataset"] / rows[2]["model"] / "lora"
    write_json(lora / "seed0" / "answer.run.json", {"fitted_sha256": "one"})
    write_json(lora / "cost.json", {**dict.fromkeys(COLUMNS, 1.0), "fitted_sha256": "one", **changes})
    with pytest.raises(UserError, match=told):
        add_latency(rows, tmp_path, 0)


def test_every_family_has_a_mark_and_says_what_it_needs():
    families = {rival.family for rival in RIVALS.values()}
    assert families <= NEEDS.keys()
    assert families <= FAMILIES.keys()
    assert len({(colour, mark) for _, colour, mark in FAMILIES.values()}) == len(FAMILIES)


@pytest.mark.parametrize("over", AXES)
def test_a_figure_is_the_same_bytes_twice(entries, over, tmp_path):
    for name in ("one.png", "two.png"):
        save(scatter(numbers(entries), over), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_the_front_joins_what_no_cheaper_method_beats():
    rows = [{"x": x, "accuracy": y} for x, y in [(0, 0.2), (5, 0.1), (1, 0.5), (1, 0.6), (9, 0.6), (10, 0.7)]]
    assert [(row["x"], row["accuracy"]) for row in _front(rows, "x")] == [(0, 0.2), (1, 0.6), (10, 0.7)]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([], []),
        ([0.9, 0.5], [0.9, 0.5]),
        ([0.5, 0.5, 0.5], [0.5, 0.455, 0.41]),
        ([0.03, 0.01, 0.0], [0.1125, 0.0675, 0.0225]),
        ([1.0, 1.0], [0.9775, 0.9325]),
    ],
)
def test_names_are_moved_as_little_as_keeps_them_apart(given, found):
    assert spread(given) == pytest.approx(found)


@given(st.lists(st.floats(0, 1), max_size=40))
def test_names_stay_in_order_and_on_the_panel(heights):
    found = spread(sorted(heights, reverse=True))
    gap = min(0.045, 1 / max(1, len(found)))
    assert all(above - below >= gap - 1e-9 for above, below in pairwise(found))
    assert all(gap / 2 - 1e-9 <= height <= 1 - gap / 2 + 1e-9 for height in found)


@pytest.mark.parametrize("over", ["parameters", "seconds", "positions"])
def test_names_of_many_methods_do_not_overlap(entries, over):
    rows = numbers(entries)
    own = next(row for row in rows if row["method"] == "embedgrad")
    many = rows + [own | {"method": name, "family": rival.family} for name, rival in RIVALS.items()]
    told = apart(scatter(many, over))
    assert {name.replace("_", " ") for name in RIVALS} <= set(told)
