"""What each token of an answer wrote: against the tokenizer's own decoding, and for any tokens at all."""

import math

import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot, decode
from embedgrad_core.decoding.answers import decode_rows
from embedgrad_core.decoding.written import Written
from embedgrad_core.files import LEVELS_PER_BIT, pack_steps, unpack_steps

TEXTS = ("So 12 + 30 = 42.", "  two  spaces\n\nand lines", "naïve café, 悲伤 的 😀!", "")
CORPUS = [*TEXTS, "a word and another word, so that pairs merge"] * 3


def byte_level():
    """Llama 3's and Qwen2's kind: a character may be split, a space belongs to the word behind it."""
    bare = tokenizers.Tokenizer(tokenizers.models.BPE())
    bare.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    bare.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    bare.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bare, clean_up_tokenization_spaces=False)


def metaspace():
    """Sentencepiece's kind: a token by itself loses the space before it."""
    bare = tokenizers.Tokenizer(tokenizers.models.Unigram())
    bare.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    bare.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(vocab_size=90, show_progress=False)
    bare.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bare, clean_up_tokenization_spaces=False)


def check_places(tokenizer, ids, text, found):
    """Wherever no character is left unfinished, the tokens so far wrote what they decode to."""
    assert len(found) == len(ids)
    assert sum(found) == len(text)
    for count in range(len(ids) + 1):
        known = tokenizer.decode(ids[:count], skip_special_tokens=True)
        if not known.endswith("\N{REPLACEMENT CHARACTER}"):
            assert sum(found[:count]) == len(known)


@pytest.mark.parametrize("kind", [byte_level, metaspace])
@pytest.mark.parametrize("text", TEXTS)
def test_each_token_wrote_what_it_adds_to_the_tokens_before_it(kind, text):
    tokenizer = kind()
    ids = tokenizer(text)["input_ids"]
    whole = tokenizer.decode(ids)
    check_places(tokenizer, ids, whole, Written(tokenizer).characters(ids, whole))


@given(st.lists(st.integers(0, 299), max_size=40))
def test_any_tokens_are_placed_in_their_text_or_not_at_all(ids):
    tokenizer = byte_level()
    text = tokenizer.decode(ids)
    found = Written(tokenizer).characters(ids, text)
    assert found is None or (len(found) == len(ids) and sum(found) == len(text))


def test_what_cannot_be_told_is_left_out():
    tokenizer = byte_level()
    assert Written(tokenizer).characters(tokenizer("one")["input_ids"], "another text") is None
    assert pack_steps([256, 1], [0.1, 0.2]) is None
    assert pack_steps([1], [math.nan]) is None


@given(st.lists(st.tuples(st.integers(0, 255), st.floats(0, 20)), max_size=50))
def test_steps_come_back_to_a_sixteenth_of_a_bit(steps):
    lengths, bits = [one for one, _ in steps], [one for _, one in steps]
    found, levels = unpack_steps(pack_steps(lengths, bits), len(steps), sum(lengths))
    assert list(found) == lengths
    assert [level / LEVELS_PER_BIT for level in levels] == pytest.approx(bits, abs=1 / 16)


def test_a_decoded_answer_brings_its_steps_where_they_are_asked_for(frozen, items):
    slot = Slot.place(frozen.tokenizer, Layout(), "please reason step by step.")
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    how = Decoding(max_new_tokens=12)
    plain, stepped = (decode(frozen, slot, vectors, items, how, steps=steps) for steps in (False, True))
    rows = decode_rows(frozen, slot, vectors, items, how, frozen.stop_ids(how.stop_rule))
    for without, with_steps, (_, row) in zip(plain, stepped, rows, strict=True):
        assert "steps" not in without.row()
        assert {**without.row(), "steps": with_steps.steps} == with_steps.row()
        lengths, levels = unpack_steps(with_steps.steps, len(row.ids), len(with_steps.output))
        assert torch.tensor(list(levels)) / LEVELS_PER_BIT == pytest.approx(torch.tensor(row.bits), abs=1 / 16)
        ids = row.ids[:-1] if with_steps.stop == "eos" else row.ids
        check_places(frozen.tokenizer, ids, with_steps.output, list(lengths[: len(ids)]))
        assert not any(lengths[len(ids) :]), "an end token writes nothing"
