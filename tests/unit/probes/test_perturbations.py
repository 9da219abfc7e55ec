"""Inputs and prompts that are changed by rule: what changes, and what stays."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedgrad.probes.applies import DoesNotApply
from embedgrad.probes.perturbations import ENDINGS, ended, label_order, paraphrase, typos, wrong_answers
from embedgrad_core.files import Item

WORDS = st.text(alphabet="abcdefgh ", max_size=60)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A big film, and I did not buy it.", "A large movie, and I didn't purchase it."),
        ("Don't begin. It is whole.", "Do not start. It's entire."),
        ("Filming a bigot's movie", "Filming a bigot's film"),
        ("今天天氣真好", "今天天氣真好"),
    ],
)
def test_words_of_the_table_change_places_with_their_synonyms_and_no_others(text, wanted):
    assert paraphrase(text) == wanted


@given(WORDS, st.integers(0, 5), st.floats(0, 1))
def test_a_typo_keeps_each_words_letters_and_ends(text, seed, rate):
    found = typos(text, random.Random(seed), rate)
    for word, other in zip(text.split(" "), found.split(" "), strict=True):
        assert sorted(word) == sorted(other)
        if word:
            assert (word[0], word[-1]) == (other[0], other[-1])
    assert typos(text, random.Random(seed), rate) == found
    assert typos(text, random.Random(seed), 0.0) == text


def test_typos_come_at_their_rate():
    words = [f"ab{letter}cd" for letter in "efghij"] * 500
    found = typos(" ".join(words), random.Random(0), 0.1).split(" ")
    assert sum(one != other for one, other in zip(words, found, strict=True)) / 3000 == pytest.approx(0.1, abs=0.02)


def test_an_injection_asks_for_an_answer_that_is_wrong():
    items = [Item(str(place), f"text {place}", answer, answer) for place, answer in enumerate("abcabc")]
    asked = wrong_answers(items)
    for item in items:
        changed = ended(item, "injection", asked[item.id])
        assert asked[item.id] != item.answer == changed.answer
        assert changed.input == f"{item.input}\n\n{ENDINGS['injection'].format(answer=asked[item.id])}"
        named = ended(item, "mention", asked[item.id])
        assert named.answer == item.answer
        assert named.input == f"{item.input}\n\n{ENDINGS['mention'].format(answer=asked[item.id])}"
    assert set(asked.values()) == {"a", "b", "c"}
    with pytest.raises(DoesNotApply, match="one answer"):
        wrong_answers(items[:1])


@pytest.mark.parametrize(
    ("prompt", "labels", "wanted"),
    [
        ("Is it positive or negative?", ["positive", "negative"], "Is it negative or positive?"),
        ('Say "Yes" or "No".', ["Yes", "No"], 'Say "No" or "Yes".'),
        ("one of a, b, c", ["a", "b", "c"], "one of b, c, a"),
        ("Is it positive?", ["positive", "negative"], "Is it positive?"),
        ("Which?", [], "Which?"),
    ],
)
def test_label_words_take_each_others_place(tokenizer, prompt, labels, wanted):
    ids = tokenizer(prompt)["input_ids"]
    order = label_order(tokenizer, ids, labels)
    assert sorted(order) == list(range(len(ids)))
    # A blank that is of one token with a word goes with it.
    assert tokenizer.decode([ids[place] for place in order]).replace(" ", "") == wanted.replace(" ", "")
