"""Shuffled targets, and a gain split into format and knowledge, on tables that are known."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from tiny import untouched_prompt

from embedgrad.analyses.baselines.rungs import label_targets
from embedgrad.probes.applies import DoesNotApply
from embedgrad.probes.shuffled import likeliest, split_gain, train_shuffled
from embedgrad.probes.shuffling import agreement, shares, shuffled_targets
from embedgrad.reporting.probes.shuffled import SHAPE, fault, figure, lines, sentence
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.probes import Probed
from embedgrad.reporting.statistics import crossed
from embedgrad_core import Settings, optimize
from embedgrad_core.files import Item, misfit


def labelled(counts):
    answers = [str(label) for label, count in enumerate(counts) for _ in range(count)]
    random.Random(0).shuffle(answers)
    return [Item(f"i{place}", f"input {place}", f"says {answer}", answer, None) for place, answer in enumerate(answers)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 99))
def test_a_table_is_rounded_up_or_down_and_keeps_its_sums(counts, seed):
    table = shares(counts, random.Random(seed))
    assert [sum(row) for row in table] == counts
    assert [sum(column) for column in zip(*table, strict=True)] == counts
    total = sum(counts)
    for one, row in zip(counts, table, strict=True):
        assert all(abs(dealt - one * other / total) < 1 for other, dealt in zip(counts, row, strict=True))


@pytest.mark.parametrize("counts", [[33, 34], [37, 39], [20] * 8, [3, 5, 7, 11, 13, 17, 23, 31]])
def test_over_dealings_no_label_is_nearer_to_its_own_class(counts):
    """Every cell has its exact mean: within four standard errors of a rounding, at most half an item each."""
    draws = 400
    tables = np.array([shares(counts, random.Random(seed)) for seed in range(draws)])
    exact = np.outer(counts, counts) / sum(counts)
    assert np.abs(tables.mean(axis=0) - exact).max() < 4 * 0.5 / draws**0.5
    diagonal = np.trace(tables, axis1=1, axis2=2)
    assert abs(diagonal.mean() - np.trace(exact)) < 4 * diagonal.std() / draws**0.5 + 1e-9


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.integers(0, 99))
def test_dealt_labels_are_as_frequent_and_tell_nothing(counts, seed):
    items = labelled(counts)
    dealt = shuffled_targets(items, seed, closed=True)
    assert Counter((item.target, item.answer) for item in dealt) == Counter(
        (item.target, item.answer) for item in items
    )
    assert [(item.id, item.input) for item in dealt] == [(item.id, item.input) for item in items]
    assert label_targets(dealt) == label_targets(items)
    found = agreement(items, dealt)
    assert abs(found["same"] - found["expected"]) < len(counts)


def test_what_is_left_of_the_labels_is_rounding():
    items = labelled([67, 53])
    answers, dealt = ([item.answer for item in some] for some in (items, shuffled_targets(items, 3, closed=True)))
    assert mutual_info_score(answers, dealt) < 1e-3
    assert mutual_info_score(answers, answers) > 0.6
    assert dealt != [item.answer for item in shuffled_targets(items, 4, closed=True)]
    assert dealt == [item.answer for item in shuffled_targets(items, 3, closed=True)]


def test_chains_of_thought_are_dealt_with_the_labels_that_they_end_in():
    """As where a run trains on the model's own: no two targets are the same."""
    items = [replace(item, target=f"{item.id} says {item.answer}") for item in labelled([12, 8])]
    dealt = shuffled_targets(items, 0, closed=True)
    assert sorted(item.target for item in dealt) == sorted(item.target for item in items)
    assert all(item.target.endswith(f"says {item.answer}") for item in dealt)
    table = Counter((item.answer, other.answer) for item, other in zip(items, dealt, strict=True))
    assert all(
        abs(table[one, other] - n * m / 20) < 1
        for one, n in (("0", 12), ("1", 8))
        for other, m in (("0", 12), ("1", 8))
    )


def test_no_open_answer_stays_where_it_was():
    items = [Item(f"i{n}", f"{n} + 1", str(n + 1), str(n + 1), None) for n in range(30)]
    dealt = shuffled_targets(items, 0, closed=False)
    assert sorted(item.target for item in dealt) == sorted(item.target for item in items)
    assert agreement(items, dealt) == {"same": 0, "expected": 1.0, "n": 30}
    with pytest.raises(DoesNotApply, match="one target"):
        shuffled_targets(labelled([9]), 0, closed=True)


def graded(right, readable=None):
    rows = zip(right, readable or right, strict=True)
    return [
        {"correct": bool(ok), "extracted": "x" if read else None, "failure": "none" if ok else "wrong"}
        for ok, read in rows
    ]


def sides(before, shuffled, after):
    return graded(before), [graded(shuffled)], graded(after)


def test_labels_without_information_leave_no_knowledge():
    """Both optimised prompts are right by luck alone: half of the items, each its own half."""
    chance = random.Random(5)
    lucky = [[chance.random() < 0.5 for _ in range(400)] for _ in range(2)]
    found = split_gain(*sides([False] * 400, *lucky))
    assert abs(found["knowledge"]["points"]) < 8
    assert found["knowledge"]["interval"][0] < 0 < found["knowledge"]["interval"][1]
    assert found["format"]["points"] > 40
    assert found["format"]["p"] < 1e-9


def test_labels_with_information_leave_much():
    chance = random.Random(5)
    found = split_gain(*sides([False] * 200, [chance.random() < 0.5 for _ in range(200)], [True] * 190 + [False] * 10))
    assert found["knowledge"]["interval"][0] > 30
    assert found["knowledge"]["p"] < 1e-9
    assert found["total"]["points"] == pytest.approx(found["format"]["points"] + found["knowledge"]["points"])


def test_what_is_found_is_shown():
    found = split_gain(*sides([0] * 20, [1] * 8 + [0] * 12, [1] * 18 + [0] * 2))
    found |= {"epochs": 2, "seed": 0, "likeliest_before": 15}
    found["dealings"][0] |= {"dealt": {"same": 5, "expected": 5.0, "n": 10}, "likeliest": 6}
    assert misfit(found, SHAPE) is None
    assert (fault(found), fault(found | {"n": 0}), fault(found | {"n": 17})) == (None, "n", "n")
    assert fault(found | {"dealings": []}) == "dealings"
    one = Probed(Cell("mood", "mood", None, "tiny", None, None, None, 0.01, 1), 0, found)
    assert sentence([one]).startswith("On 1 of 1 cells the true targets taught more")
    (line,) = lines(found)
    assert (line["format"].value, line["knowledge"].value) == (40, 50)
    assert line["before_likeliest_label_%"] == 75
    assert line["kept_their_answer"] == "5 of 10 (expected 5.0)"
    assert len(figure([one]).axes) == 1
    with pytest.raises(DoesNotApply, match="too few"):
        split_gain(*sides([0] * 4, [0] * 4, [1] * 4))


def test_of_several_dealings_the_parts_are_of_the_model_of_table_2():
    """Dealings that differ much make knowledge less sure than one dealing's items say, and the parts still add up."""
    chance = random.Random(7)
    before, after = [False] * 100, [place < 70 for place in range(100)]
    dealings = [[chance.random() < share for _ in range(100)] for share in (0.1, 0.3, 0.5)]
    found = split_gain(graded(before), [graded(one) for one in dealings], graded(after))
    known = crossed([[int(b) - int(a) for a, b in zip(one, after, strict=True)] for one in dealings])
    assert (found["knowledge"]["points"], found["knowledge"]["p"]) == (known.mean, known.p)
    assert found["knowledge"]["interval"] == list(known.interval)
    assert found["knowledge"]["sd_of_dealings"] > 10
    assert found["total"]["points"] == pytest.approx(found["format"]["points"] + found["knowledge"]["points"])
    alone = split_gain(graded(before), [graded(dealings[1])], graded(after))
    reach = [one["knowledge"]["interval"][1] - one["knowledge"]["interval"][0] for one in (found, alone)]
    assert reach[0] > 2 * reach[1]
    for one in found["dealings"]:
        one |= {"dealt": {"same": 5, "expected": 5.0, "n": 10}, "likeliest": None}
    found |= {"epochs": 2, "seed": 0, "likeliest_before": None}
    assert misfit(found, SHAPE) is None
    (line,) = lines(found)
    right = [one["correct"] for one in found["dealings"]]
    assert line["each_dealing_%"] == ", ".join(f"{one:.1f}" for one in right)
    assert line["shuffled_%"] == pytest.approx(sum(right) / 3, abs=0.05)
    assert "before_likeliest_label_%" not in line


def test_it_is_the_same_optimisation_but_for_the_targets(frozen, items, tmp_path, monkeypatch):
    settings = Settings(0.01, 3, batch_size=3, seed=2, patience=0)
    true, _ = optimize(frozen, untouched_prompt(frozen), items[:4], items[4:], settings)
    best = true.header["best_epoch"]
    assert best > 0, "this test needs an epoch that was better than the text"
    trained, how = train_shuffled(frozen, true, items[:4], items[4:], closed=False, log=lambda line: None)
    assert how["epochs"] == best
    assert how["dealt"]["same"] == 0
    assert not torch.equal(trained.vectors, true.vectors)
    other, _ = train_shuffled(frozen, true, items[:4], items[4:], closed=False, dealing=1, log=lambda line: None)
    assert not torch.equal(trained.vectors, other.vectors)
    monkeypatch.setattr("embedgrad.probes.shuffled.shuffled_targets", lambda items, seed, closed: list(items))
    again, _ = train_shuffled(frozen, true, items[:4], items[4:], closed=False, log=lambda line: None)
    assert torch.equal(again.vectors, true.vectors)


def test_a_text_that_was_kept_has_no_gain(frozen, items):
    prompt = untouched_prompt(frozen)
    prompt.header |= {"settings": {}, "best_epoch": 0}
    with pytest.raises(DoesNotApply, match="no gain to split"):
        train_shuffled(frozen, prompt, items[:4], items[4:], closed=False)


def test_the_likeliest_label_is_read_behind_each_prompt_and_counted_as_it_goes(frozen):
    items = labelled([4, 3])
    text = untouched_prompt(frozen)
    told: list[int] = []
    prompts = {"before": text.initial, "again": text.initial}
    found = likeliest(frozen, prompts, text.slot, items, label_targets(items), told.append)
    assert found["before"] == found["again"]
    assert told == sorted(told)
    assert told[-1] == 2 * len(items)
    assert likeliest(frozen, prompts, text.slot, items, {}) is None
