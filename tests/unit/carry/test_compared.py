"""Shares of a gain: Fieller's interval of pairs, and a row per prompt."""

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp

from embedgrad.carry.compared import compared, contrast, lines_of, share, share_words
from embedgrad.carry.scores import Scores, scores_of, target_losses
from embedgrad.grading import make_grading
from embedgrad.reporting.statistics import fieller, ratio_of_means
from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot
from embedgrad_core.files import Item


def test_the_interval_of_a_ratio_of_pairs_solves_its_own_equation():
    """Each end r is where the mean of a - r b, item by item, lies 1.96 of its own standard errors from 0."""
    chance = np.random.default_rng(3)
    whole = chance.normal(2.0, 1.0, 60)
    part = 0.5 * whole + chance.normal(0.0, 0.4, 60)
    ratio, (low, high) = ratio_of_means(part, whole)
    assert ratio == pytest.approx(part.mean() / whole.mean())
    assert low < ratio < high
    for end in (low, high):
        rest = part - end * whole
        assert abs(rest.mean()) / (rest.std(ddof=1) / 60**0.5) == pytest.approx(norm.ppf(0.975), abs=1e-9)
    apart = fieller(part.mean(), part.var(ddof=1) / 60, whole.mean(), whole.var(ddof=1) / 60)
    assert high - low < apart[1] - apart[0], "pairs that go together say more than two samples"


def test_the_interval_holds_the_truth():
    chance = np.random.default_rng(4)
    hits = 0
    for _ in range(400):
        whole = chance.normal(1.0, 1.0, 40)
        low, high = ratio_of_means(0.4 * whole + chance.normal(0.0, 0.5, 40), whole)[1]
        hits += low <= 0.4 <= high
    assert 0.91 <= hits / 400 <= 0.98


def test_a_gain_that_may_be_nothing_bounds_no_share():
    assert share([1.0, 2.0], [0.0, 0.0]) == {"value": None, "interval": None}
    found = share([1.0, 2.0, 3.0], [5.0, -4.0, 1.0])
    assert (found["value"], found["interval"]) == (pytest.approx(3.0), None)
    assert share_words(found) == "no share that can be told"
    assert ratio_of_means([1.0], [2.0]) == (0.5, None)


@pytest.mark.parametrize("part", [[0.0] * 12, [0.3] * 12, [0.1 + 0.2, 0.3] * 6])
def test_a_part_without_spread_is_no_share_that_can_be_told(part):
    """No right answer more on twelve items is not surely none; Fieller's interval would be [0, 0]."""
    whole = [1.0, 2.0, 3.0] * 4
    assert share(part, whole) == {"value": None, "interval": None}
    assert share_words(share(part, whole)) == "no share that can be told"
    assert share(whole, whole)["interval"] == pytest.approx((1, 1)), (
        "the same prompt keeps all of it, however much that is"
    )


def test_a_contrast_is_the_paired_t_test_and_mcnemars():
    one = Scores([2.0, 2.5, 1.0, 4.0], [False, False, True, False], "likelihood")
    other = Scores([1.0, 1.0, 1.5, 1.0], [True, True, True, False], "likelihood")
    found, oracle = contrast(one, other), ttest_1samp([1.0, 1.5, -0.5, 3.0], 0)
    assert found["loss_gain"] == pytest.approx(1.25)
    assert found["loss_p"] == pytest.approx(oracle.pvalue)
    assert found["loss_interval"] == pytest.approx(tuple(oracle.confidence_interval()))
    assert (found["points"], found["p"]) == (50.0, 0.5)
    same = contrast(one, one)
    assert (same["loss_gain"], same["loss_interval"], same["loss_p"], same["points"], same["p"]) == (
        0,
        None,
        None,
        0,
        1,
    )
    better = contrast(one, Scores([loss - 0.3 for loss in one.losses], one.correct, "likelihood"))
    assert (better["loss_gain"], better["loss_interval"]) == (pytest.approx(0.3), None), (
        "the same on every item: no spread"
    )
    assert better["loss_p"] is None


def test_a_row_per_prompt():
    arms = {
        "text": Scores([2.0, 2.0, 2.0, 3.0], [False, False, True, False], "likelihood"),
        "half": Scores([1.5, 1.4, 1.6, 2.5], [True, False, True, False], "likelihood"),
        "all": Scores([1.0, 0.9, 1.1, 2.0], [True, True, True, False], "likelihood"),
    }
    rows = compared(arms, "text", "all")
    assert "share" not in rows["all"]
    assert "loss_gain" not in rows["text"]
    assert rows["half"]["loss_gain"] == pytest.approx(0.5)
    assert (rows["half"]["points"], rows["half"]["correct"]) == (25.0, 2)
    assert rows["half"]["share"]["loss"]["value"] == pytest.approx(0.5)
    assert rows["half"]["share"]["accuracy"]["value"] == pytest.approx(0.5)
    assert "50 % [" in lines_of(rows)[1]


def test_the_label_loss_leaves_out_what_it_takes_to_say_a_label():
    """Two prompts that rank alike: the second says a label for certain, and gains nothing among the labels."""
    text = Scores([7.0, 6.5, 9.0], [True, True, False], "likelihood", [0.3, 0.5, 1.4])
    said = Scores([0.3, 0.5, 1.4], [True, True, False], "likelihood", [0.3, 0.5, 1.4])
    knows = Scores([0.1, 0.2, 0.4], [True, True, True], "likelihood", [0.1, 0.2, 0.4])
    rows = compared({"text": text, "said": said, "knows": knows}, "text", "knows")
    assert rows["text"]["label_loss"] == pytest.approx(2.2 / 3)
    assert rows["said"]["share"]["loss"]["value"] > 0.9
    assert rows["said"]["share"]["label"] == {"value": None, "interval": None}
    assert (rows["said"]["label_gain"], rows["said"]["label_interval"], rows["said"]["label_p"]) == (0, None, None)
    oracle = ttest_1samp([0.2, 0.3, 1.0], 0)
    found = contrast(text, knows)
    assert found["label_gain"] == pytest.approx(0.5)
    assert found["label_p"] == pytest.approx(oracle.pvalue)
    assert found["label_interval"] == pytest.approx(tuple(oracle.confidence_interval()))
    assert "of that among the labels" in lines_of(rows)[1]


def test_a_lean_to_one_label_changes_right_answers_and_no_ranking():
    """The second prompt is the first with a constant added to one label's log-odds: more right answers, the same AUROC."""
    own = [0, 0, 0, 1, 1, 1]
    odds = np.array([2.0, 1.5, 1.2, 1.0, 0.7, 2.2])  # of the first label

    def leaning(shift):
        first = 1 / (1 + np.exp(-(odds + shift)))
        chances = np.stack([first, 1 - first], axis=1)
        right = [bool(row.argmax() == place) for row, place in zip(chances, own, strict=True)]
        losses = [-float(np.log(row[place])) for row, place in zip(chances, own, strict=True)]
        return Scores(losses, right, "likelihood", losses, chances.tolist(), own)

    rows = compared({"text": leaning(0.0), "leans": leaning(-1.1)}, "text")
    assert (rows["text"]["correct"], rows["leans"]["correct"]) == (3, 5)
    assert rows["text"]["auroc"] == rows["leans"]["auroc"] == pytest.approx(6 / 9)
    # Six items that are ranked alike do not show that all would be.
    low, high = rows["leans"]["auroc_gain_interval"]
    assert rows["leans"]["auroc_gain"] == 0
    assert -1 < low < -0.3 < 0.3 < high < 1


def test_scores_are_the_losses_own_and_the_likeliest_label(frozen):
    words = [("a lovely film", "positive"), ("a dull film", "negative"), ("I slept", "negative")]
    items = [Item(f"r/{n}", text, label, label) for n, (text, label) in enumerate(words)]
    prompt = PromptEmbedding.from_text(
        frozen, Slot.place(frozen.tokenizer, Layout(end="none"), "positive or negative?")
    )
    grading = make_grading("label", ["positive", "negative"])
    found = scores_of(
        "text", frozen, prompt.slot, prompt.vectors, items, grading, Decoding(max_new_tokens=4), log=lambda line: None
    )
    # Without an end token, the likelihood of a label is Eq. 6.
    losses = target_losses(frozen, prompt.slot, prompt.vectors, items)
    assert found.losses == pytest.approx(losses, rel=1e-5)
    swapped = [Item(i.id, i.input, *(["negative" if i.answer == "positive" else "positive"] * 2)) for i in items]
    other = target_losses(frozen, prompt.slot, prompt.vectors, swapped)
    assert found.correct == [one < two for one, two in zip(losses, other, strict=True)]
    both = np.array([losses, other])
    assert found.label_losses == pytest.approx(list(both[0] + np.log(np.exp(-both).sum(axis=0))), abs=1e-4)
    said = scores_of(
        "text",
        frozen,
        prompt.slot,
        prompt.vectors,
        items,
        make_grading("exact", None),
        Decoding(max_new_tokens=4),
        log=lambda line: None,
    )
    chances = np.exp(-both) / np.exp(-both).sum(axis=0)
    assert [row[place] for row, place in zip(found.chances, found.own, strict=True)] == pytest.approx(
        list(chances[0]), abs=1e-4
    )
    assert (said.by, found.by, said.label_losses) == ("decoding", "likelihood", None)
    assert said.losses == pytest.approx(losses, rel=1e-5)
