"""Pairs of the same content: what differs within a pair is the sentiment alone, and the template ends them all alike."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedgrad.analyses.matched_pairs import (
    AFTER,
    BEFORE,
    HELD_OUT_WORDS,
    SENTIMENT,
    TRAIN,
    in_template,
    matched_pairs,
)
from embedgrad_core import Layout, Slot
from embedgrad_core.files import UserError


def words(text):
    return text.lower().replace(",", "").rstrip(".").split()


def charged(split):
    """The sentiment words of a split: word → its counterpart."""
    return dict(pair.split("/") for name in SENTIMENT for pair in getattr(split, name))


@given(st.integers(4, 200))
def test_any_number_of_pairs_is_balanced(count):
    pairs = matched_pairs(count)
    assert len(pairs) == count
    assert sum(one.split == "held_out" for one in pairs) == round(0.3 * count)
    assert len({text for one in pairs for text in (one.positive, one.negative)}) == 2 * count
    assert pairs == matched_pairs(count)
    for one in pairs:
        opposite = charged(TRAIN if one.split == "train" else HELD_OUT_WORDS)
        good, bad = words(one.positive), words(one.negative)
        assert len(one.positive) == len(one.negative)
        assert bad == [opposite.get(word, word) for word in good]
        # All that could say which text it is was turned.
        assert sum(word != other for word, other in zip(good, bad, strict=True)) == 2
        assert not set(good) & set(opposite.values())


def test_every_word_comes_about_as_often():
    for split, listed in (("train", TRAIN), ("held_out", HELD_OUT_WORDS)):
        mine = [words(one.positive) for one in matched_pairs() if one.split == split]
        for name in SENTIMENT:
            counts = Counter(
                word for text in mine for word in text if word in {p.split("/")[0] for p in getattr(listed, name)}
            )
            assert len(counts) == len(getattr(listed, name))
            assert max(counts.values()) - min(counts.values()) <= 2 + max(counts.values()) / 4, counts


def test_no_word_of_a_train_pair_gives_a_held_out_pair_away():
    train, held_out = charged(TRAIN), charged(HELD_OUT_WORDS)
    assert not {*train, *train.values()} & {*held_out, *held_out.values()}
    for name in ("person", "thing"):
        assert not set(getattr(TRAIN, name)) & set(getattr(HELD_OUT_WORDS, name))


@pytest.mark.parametrize("count", [3, 201])
def test_another_number_is_one_error(count):
    with pytest.raises(UserError, match=rf"{count} pairs of matched content: give 4 to 200"):
        matched_pairs(count)


@pytest.mark.parametrize("kind", ["bare", "chat"])
def test_every_text_ends_in_the_template_s_last_token(frozen, kind):
    slot = Slot.place(frozen.tokenizer, Layout(kind=kind), "Is it good?")
    encode = in_template(slot)
    pairs = matched_pairs(8)
    ids = [encode(text) for one in pairs for text in (one.positive, one.negative)]
    assert len({tuple(one) for one in ids}) == 16
    # The place where an item's last token is: before the answer.
    assert {one[-1] for one in ids} == ({slot.body_ids("x")[-1]} if kind == "chat" else {ids[0][-1]})
    shown = frozen.tokenizer.decode(ids[0])
    assert shown.index(BEFORE) < shown.index(pairs[0].positive) < shown.index(AFTER)
