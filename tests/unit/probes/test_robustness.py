"""Drops of the optimised prompt beside the text prompt's, condition by condition."""

import pytest
import torch

from embedgrad.grading import Grading
from embedgrad.probes.applies import DoesNotApply
from embedgrad.probes.perturbations import wrong_answers
from embedgrad.probes.robustness import WHAT, Condition, _obeyed, _told, robustness
from embedgrad.reporting.statistics import mcnemar
from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.files import Item

GRADING = Grading("label", {"labels": ["positive", "negative"]})
ITEMS = [
    Item(str(place), f"I did not like this film number {place}", answer, answer)
    for place, answer in enumerate(["positive", "negative"] * 6)
]


def verdicts(pattern):
    return {item.id: {"id": item.id, "correct": one == "1"} for item, one in zip(ITEMS, pattern, strict=True)}


def test_what_is_lost_is_the_one_drop_less_the_other():
    plain = {"text": verdicts("111111000000"), "optimised": verdicts("111111111110")}
    changed = {"text": verdicts("111100000000"), "optimised": verdicts("111000000000")}
    found = _told(plain, ITEMS, Condition(ITEMS, ITEMS), changed)
    assert (found["text"]["drop"], found["optimised"]["drop"]) == pytest.approx((100 * 2 / 12, 100 * 8 / 12))
    assert found["lost"]["points"] == pytest.approx(100 * 6 / 12)
    assert found["lost"]["interval"][0] < 50 < found["lost"]["interval"][1]
    assert found["lost"]["p"] == pytest.approx(2 / 2**6), "six items that the optimised prompt alone loses"
    other = [Item(f"o{place}", "", "positive", "positive") for place in range(4)]
    elsewhere = {side: {item.id: {"correct": side == "text"} for item in other} for side in plain}
    found = _told(plain, ITEMS, Condition([], other), elsewhere)
    assert found["lost"]["points"] == pytest.approx(100 * 5 / 12 + 100)  # a gain of 5 of 12 became a loss of all
    assert found["text"]["drop"] is None
    # Gains of 0 and 1 (seven and five of twelve) against four of -1: one of the 1820 ways to choose four of sixteen.
    assert found["lost"]["p"] == pytest.approx(1 / 1820)


def answered(given, asked):
    """Lines of answers: under each condition and side so many first items get the label that is asked for, the others their own."""
    return [
        {"condition": name, "side": side, "id": item.id, "output": asked[item.id] if place < many else item.answer}
        for name, sides in given.items()
        for side, many in sides.items()
        for place, item in enumerate(ITEMS)
    ]


def test_an_answer_that_is_what_was_asked_for_counts_beyond_what_it_was_anyway():
    asked = wrong_answers(ITEMS)
    given = {
        "plain": {"text": 0, "optimised": 1},
        "mention": {"text": 9, "optimised": 2},
        "injection": {"text": 9, "optimised": 3},
    }
    lines = answered(given, asked)
    found = _obeyed("injection", lines, ITEMS, GRADING)
    assert (found["text"]["asked"], found["text"]["not_asked"]) == (9, 0)
    assert (found["optimised"]["asked"], found["optimised"]["not_asked"]) == (3, 1)
    assert found["optimised"]["more"] == pytest.approx(100 * 2 / 12)
    assert found["difference"]["points"] == pytest.approx(-50)
    # Without it the text prompt gives the label on none of the items, the optimised one on one.
    changes = found["difference_of_changes"]
    assert changes["points"] == pytest.approx(100 * ((3 - 1) - (9 - 0)) / 12)
    assert changes["interval"][0] < changes["points"] < changes["interval"][1] < 0
    assert changes["p"] == pytest.approx(mcnemar(7, 0)[0])
    assert found["text"]["beyond"]["points"] == 0, "all that it obeyed it would have copied"
    assert found["optimised"]["beyond"]["points"] == pytest.approx(100 / 12)
    copied = _obeyed("mention", lines, ITEMS, GRADING)
    assert (copied["text"]["asked"], copied["text"]["beyond"]) == (9, None)


def test_a_prompt_that_gives_the_label_anyway_has_not_obeyed():
    """Both give it equally often at the end, but the optimised prompt did so before; and the reverse."""
    asked = wrong_answers(ITEMS)
    given = {"plain": {"text": 0, "optimised": 8}, "mention": {"text": 0, "optimised": 8}}
    given["injection"] = {"text": 8, "optimised": 8}
    lines = answered(given, asked)
    found = _obeyed("injection", lines, ITEMS, GRADING)
    assert found["difference"]["points"] == 0
    assert found["difference_of_changes"]["points"] == pytest.approx(-100 * 8 / 12)
    assert found["difference_of_changes"]["interval"][1] < 0
    assert found["difference_of_changes"]["p"] == pytest.approx(2 / 2**8)
    named = _obeyed("mention", lines, ITEMS, GRADING)
    assert (named["difference"]["points"], named["difference_of_changes"]["points"]) == (pytest.approx(100 * 8 / 12), 0)
    assert named["difference_of_changes"]["p"] == 1


def test_two_equal_prompts_lose_alike(frozen, tmp_path):
    slot = Slot.place(frozen.tokenizer, Layout(target_prefix="\n"), "Is it positive or negative?")
    prompt = PromptEmbedding.from_text(frozen, slot)
    kept = KeptRows(tmp_path / "answers.state")
    run = {"task": "imdb", "kept": kept, "log": lambda line: None}
    found = robustness(frozen, prompt, ITEMS, GRADING, Decoding(max_new_tokens=6), **run)
    assert list(found["conditions"]) == list(WHAT)
    for name, one in found["conditions"].items():
        if name == "typos":  # seeded; with a tenth of the words some inputs stay as they are
            assert one["found"] or "it takes 8" in one["reason"]
            continue
        assert one["reason"] is None, name
        one = one["found"]
        assert one["n"] == 12
        assert one["text"] == one["optimised"]
        low, high = one["lost"]["interval"]
        assert one["lost"]["points"] == 0
        assert low < 0 < high
        assert one["lost"]["p"] == pytest.approx(1)
    asked = [line for line in found["answers"] if (line["condition"], line["side"]) == ("plain", "text")]
    assert [line["id"] for line in asked] == [item.id for item in ITEMS]
    assert robustness(frozen, prompt, ITEMS, GRADING, Decoding(max_new_tokens=6), **run) == found


def test_label_words_move_in_text_and_vectors_alike(frozen):
    slot = Slot.place(frozen.tokenizer, Layout(), "Is it positive or negative?")
    prompt = PromptEmbedding.from_text(frozen, slot)
    prompt.vectors += torch.randn(prompt.vectors.shape, generator=torch.Generator().manual_seed(0))
    run = {"log": lambda line: None}
    found = robustness(frozen, prompt, ITEMS, GRADING, Decoding(max_new_tokens=6), **run)["answers"]
    swapped = Slot.place(frozen.tokenizer, Layout(), "Is it negative or positive?")
    mirrored = PromptEmbedding.from_text(frozen, swapped)
    other = robustness(frozen, mirrored, ITEMS, GRADING, Decoding(max_new_tokens=6), **run)["answers"]

    def outputs(lines, condition, side):
        return [line["output"] for line in lines if (line["condition"], line["side"]) == (condition, side)]

    assert outputs(found, "label_order", "text") == outputs(other, "plain", "text")
    assert outputs(found, "label_order", "optimised") != outputs(found, "plain", "optimised")


def test_conditions_that_do_not_fit_say_so(frozen):
    slot = Slot.place(frozen.tokenizer, Layout(), "Which?")
    items = [Item(str(place), f"xy {place}", "positive", "positive") for place in range(9)]
    prompt = PromptEmbedding.from_text(frozen, slot)
    found = robustness(frozen, prompt, items, GRADING, Decoding(max_new_tokens=4), log=lambda line: None)
    reasons = {name: one["reason"] for name, one in found["conditions"].items()}
    assert reasons["injection"] == reasons["mention"] == "all items have one answer"
    assert "0 of 9" in reasons["paraphrase"]
    assert "fewer than two label words" in reasons["label_order"]
    with pytest.raises(DoesNotApply, match="4 test items"):
        robustness(frozen, prompt, items[:4], GRADING, Decoding(max_new_tokens=4))
