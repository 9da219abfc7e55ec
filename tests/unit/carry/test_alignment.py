"""Positions by characters: nothing of the prompt is lost, and nothing is counted twice."""

from itertools import pairwise

import pytest
import torch
from budget import times
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_tokenizer

from embedgrad.carry.alignment import alignment, owners
from embedgrad_core import Layout, Slot

TOKENIZER = tiny_tokenizer()
cuts = st.lists(st.integers(0, 30), max_size=12)


def pieces(length, places):
    """A text cut at places; cuts at one place give tokens without characters."""
    edges = [0, *sorted(min(place, length) for place in places), length]
    return list(pairwise(edges))


@settings(deadline=None, max_examples=times(50))
@given(st.integers(1, 30), cuts, cuts)
def test_every_character_is_covered_and_weights_sum_to_one(length, source, target):
    source, target = pieces(length, source), pieces(length, target)
    found = owners(length, source)
    assert all(found)
    assert {place for tokens in found for place in tokens} == set(range(len(source)))
    weights = alignment(length, source, target)
    assert weights.shape == (len(target), len(source))
    assert torch.allclose(weights.sum(dim=1), torch.ones(len(target), dtype=torch.float64))
    assert (weights >= 0).all()
    assert (weights.sum(dim=0) > 0).all()


@settings(deadline=None, max_examples=times(50))
@given(st.integers(1, 30), st.sets(st.integers(1, 29), max_size=12))
def test_one_tokenizer_is_aligned_to_itself(length, places):
    whole = pieces(length, {place for place in places if place < length})
    assert torch.equal(alignment(length, whole, whole), torch.eye(len(whole), dtype=torch.float64))


@settings(deadline=None, max_examples=times(30))
@given(st.text(min_size=1, max_size=20), st.sampled_from(["bare", "chat"]))
def test_the_spans_of_a_real_tokenizer_cover_any_text(text, kind):
    if not text.strip():
        return
    slot = Slot.place(TOKENIZER, Layout(kind), f"a{text}b")
    spans = slot.prompt_spans()
    assert len(spans) == slot.k
    assert {place for start, end in spans for place in range(start, end)} == set(range(len(slot.text)))


def test_a_word_in_two_pieces_is_moved_whole_and_two_words_in_one_by_halves():
    one, two = [(0, 4)], [(0, 1), (1, 4)]
    assert alignment(4, one, two).tolist() == [[1.0], [1.0]]
    assert alignment(4, two, one).tolist() == [[0.25, 0.75]]


def test_bytes_of_a_character_share_it_and_blanks_that_are_left_out_go_to_the_next_word():
    assert owners(2, [(0, 1), (0, 1), (1, 2)]) == [[0, 1], [2]]
    assert owners(6, [(0, 2), (3, 5)]) == [[0], [0], [1], [1], [1], [1]]


@pytest.mark.parametrize("kind", ["bare", "chat"])
def test_spans_are_of_the_prompt_whatever_stands_before_it(tokenizer, kind):
    text = "Let’s think step by step."
    slot = Slot.place(tokenizer, Layout(kind, slot="user"), text)
    read = [text[start:end] for start, end in slot.prompt_spans()]
    assert all(tokenizer.decode([token]) in (piece, "�") for token, piece in zip(slot.prompt_ids, read, strict=True))
    assert read[-1] == "."
