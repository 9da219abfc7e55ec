"""Every epoch read on dev and test; where overfitting starts, on losses that are planted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from tiny import untouched_prompt

from embedgrad.probes.applies import DoesNotApply
from embedgrad.probes.trajectory import check_targets, overfitting, trajectory
from embedgrad.reporting.probes.trajectory import SHAPE, fault, figure, lines, sentence
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.probes import Probed
from embedgrad_core import Decoding, Settings
from embedgrad_core.decoding.answers import decode_rows
from embedgrad_core.decoding.scoring import forced_entropies
from embedgrad_core.files import Item, misfit
from embedgrad_core.likelihood import target_readings
from embedgrad_core.objective import Example, encode
from embedgrad_core.training.optimization import optimize_every_epoch
from embedgrad_core.training.step import MicroBatching, accumulate
from embedgrad_core.training.trainable import prompt_vectors


def labelled(count):
    return [
        Item(f"i{place}", f"{place} film", answer, answer, None)
        for place, answer in enumerate(["positive", "negative"] * (count // 2))
    ]


@pytest.mark.parametrize("budget", [1, 4096])
def test_a_target_is_read_as_it_is_trained_and_as_it_is_written(frozen, items, budget):
    text = untouched_prompt(frozen)
    examples = encode(text.slot, items, frozen.context)
    # What greedy decoding writes, and the same with another last token, beside the items' own targets.
    for item, row in decode_rows(frozen, text.slot, text.vectors, items[:2], Decoding(max_new_tokens=5), ()):
        body = text.slot.body_ids(item.input)
        other = [*row.ids[:-1], (row.ids[-1] + 1) % len(frozen.tokenizer)]
        examples += [Example("written", body, row.ids), Example("other", body, other)]
    read = target_readings(frozen, text.slot, text.vectors, examples, MicroBatching(budget))
    trainable = prompt_vectors(frozen, text.slot, text.vectors)
    for example, found in zip(examples, read, strict=True):
        assert found.loss == pytest.approx(accumulate(trainable, [example], MicroBatching())[0], rel=1e-4)
        (bits,) = forced_entropies(frozen, text.slot, text.vectors, [example.body], [example.target])
        assert found.entropy_bits == pytest.approx(sum(bits) / len(bits), rel=1e-4)
    assert [found.written for found in read[-4:]] == [True, False, True, False]


def test_losses_of_other_targets_are_not_held_against_each_other():
    train = labelled(6)
    check_targets(train, labelled(2))
    check_targets(train, train[:1])  # dev and test need not hold every label
    with pytest.raises(DoesNotApply, match="chains of thought"):
        check_targets([*train[1:], replace(train[0], target="A lovely film, so positive")], labelled(2))


def planted(means, items=60, seed=0):
    """Losses of each item in epochs of these means: an item is hard in all of them, and wavers a little."""
    chance = np.random.default_rng(seed)
    hard = chance.normal(0, 0.2, items)
    return [list(mean + hard + chance.normal(0, 0.05, items)) for mean in means]


def test_overfitting_lies_between_the_lowest_epoch_and_the_first_from_which_all_are_above():
    """Epochs 3 and 5 are as low as 2, so that the loss need not have turned before 6, although the dev loss did."""
    means = [3.0, 1.0, 0.5, 0.505, 0.8, 0.505, 0.8, 1.2]
    dev, test = planted([3.0, 0.5, *np.arange(6, 12) / 10]), planted(means, seed=1)
    found = overfitting(dev, test)
    assert (found["best"], found["test_best"], found["level"], found["rises_from"]) == (1, 2, [3, 5], 6)
    assert found["over_lowest"][2] is None
    for epoch in (0, 3, 7):
        interval = stats.ttest_rel(test[epoch], test[2]).confidence_interval()
        gap = np.mean(test[epoch]) - np.mean(test[2])
        assert found["over_lowest"][epoch] == pytest.approx([gap, interval.low, interval.high])
    interval = stats.ttest_rel(test[7], test[1]).confidence_interval()
    assert found["rise"] == pytest.approx([np.mean(test[7]) - np.mean(test[1]), interval.low, interval.high])
    # Above the best epoch on dev as well, and yet the epoch after that is far below both.
    assert found["rise"][1] > 0 > np.mean(test[2]) - np.mean(test[1])


def test_what_does_not_turn_is_no_overfitting():
    falling = planted([3.0, 2.0, 1.0, 0.5])
    found = overfitting(falling, falling)
    assert (found["best"], found["test_best"], found["level"], found["rises_from"], found["rise"]) == (
        3,
        3,
        [],
        None,
        None,
    )
    turned = overfitting(planted([3.0, 1.0, 2.0, 1.005]), planted([3.0, 1.0, 2.0, 1.005]))
    assert (turned["level"], turned["rises_from"]) == ([3], None), "the last epoch is as low as the lowest"
    still = overfitting([[1.0, 2.0]] * 3, [[1.0, 2.0]] * 3)
    assert (still["level"], still["over_lowest"][1], still["rises_from"]) == ([1, 2], [0.0, None, None], None)


def test_a_loss_that_only_wavers_seldom_looks_like_overfitting():
    """Of ten epochs of equal losses the lowest is picked, which flatters it; a run of later ones surely above it is rare."""
    draws = [planted([1.0] * 11, items=84, seed=seed) for seed in range(60)]
    assert np.mean([overfitting(losses, losses)["rises_from"] is not None for losses in draws]) < 0.3


def test_every_epoch_is_read_and_shown(frozen):
    text, some = untouched_prompt(frozen), labelled(24)
    dev, test = some[8:16], some[16:]
    vectors, history = optimize_every_epoch(frozen, text, some[:8], dev, Settings(0.02, 3, batch_size=4))
    labels = {"negative": "negative", "positive": "positive"}
    found = trajectory(frozen, text, vectors, history, {"dev": dev, "test": test}, labels, log=lambda line: None)
    assert misfit(found, SHAPE) is None
    assert (fault(found), fault(found | {"best": 4}), fault(found | {"rise": [0.0]})) == (None, "best", "rise")
    assert fault(found | {"over_lowest": found["over_lowest"][1:]}) == "over_lowest"
    assert fault(found | {"over_lowest": [[0.0, 0.0, 0.0]] * 4}) == "over_lowest", "one of them is the lowest itself"
    assert (fault(found | {"level": [4]}), fault(found | {"rises_from": found["test_best"]})) == ("level", "rises_from")
    assert fault(found | {"epochs": found["epochs"][1:]}) == "epochs"
    assert [row["epoch"] for row in found["epochs"]] == [0, 1, 2, 3]
    for row, line in zip(found["epochs"], history, strict=True):
        assert row["dev"]["loss"] == pytest.approx(line["dev_loss"], rel=1e-4)
    assert found["best"] == min(history, key=lambda line: line["dev_loss"])["epoch"]
    assert found["epochs"][0]["tokens_kept"] == found["positions"] == text.slot.k
    one = Probed(Cell("mood", "mood", None, "tiny", None, None, None, 0.01, 1), 0, found)
    assert len(figure([one]).axes) == 4
    assert sentence([one])
    assert [line["epoch"] for line in lines(found)] == [0, 1, 2, 3]
    opened = trajectory(frozen, text, vectors, history, {"dev": dev, "test": test}, {}, log=lambda line: None)
    assert opened["epochs"][1]["test"]["accuracy"] is None
    assert misfit(opened, SHAPE) is None
    assert figure([Probed(one.cell, 0, opened)])
    assert lines(opened)


def test_it_says_where_it_does_not_apply(frozen):
    text, some = untouched_prompt(frozen), labelled(16)
    with pytest.raises(DoesNotApply, match="4 dev items"):
        trajectory(frozen, text, [text.vectors] * 4, [{}] * 4, {"dev": some[:4], "test": some[4:]}, {})
    with pytest.raises(DoesNotApply, match="broke off after 1"):
        trajectory(frozen, text, [text.vectors] * 2, [{}] * 2, {"dev": some[:8], "test": some[8:]}, {})
