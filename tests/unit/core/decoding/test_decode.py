"""Greedy decoding against a plain argmax loop and transformers' own generate; Eq. 11 in float64."""

import math
import sys

import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st

from embedgrad_core import Decoding, Layout, LoopRule, PromptEmbedding, Slot, decode
from embedgrad_core.decoding.greedy import INTERVAL, entropy_bits, greedy
from embedgrad_core.decoding.lanes import KeyValueLanes
from embedgrad_core.decoding.scoring import forced_entropies
from embedgrad_core.decoding.settings import is_loop
from embedgrad_core.files import Item, UserError, in_order

PROMPT = "please reason step by step."
LIMIT = 24


@pytest.fixture(scope="module")
def plain(frozen, slot, items):
    """Stop tokens, and each item's tokens and entropies by the plainest loop."""
    vectors, head = PromptEmbedding.from_text(frozen, slot).vectors, slot.head_ids
    # Stop tokens chosen among what the model does say, so that rows end at different steps.
    said, _ = reference.greedy(frozen.network, vectors, head, slot.body_ids("7"), max_new_tokens=9, stop_ids=())
    how = {"max_new_tokens": LIMIT, "stop_ids": tuple({said[3], said[8]})}
    return how["stop_ids"], [
        reference.greedy(frozen.network, vectors, head, slot.body_ids(item.input), **how) for item in items
    ]


@pytest.mark.parametrize("graphed", [False, True])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_tokens_and_entropy_equal_a_plain_argmax_loop(frozen, slot, items, plain, batch, graphed):
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    bodies, (stops, wanted) = [slot.body_ids(item.input) for item in items], plain
    found = greedy(frozen, slot, vectors, bodies, LIMIT, stops, batch_size=batch, graphed=graphed)
    lengths = set()
    for row, (expected, bits) in zip(found, wanted, strict=True):
        assert row.ids == expected
        assert row.bits == pytest.approx(bits, rel=1e-4)
        lengths.add(len(row.ids))
    assert len(lengths) > 1, "the case must mix rows that end early with rows that run on"


def test_tokens_equal_transformers_generate(frozen, slot, items):
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    rows = decode(frozen, slot, vectors, items, Decoding(max_new_tokens=LIMIT, batch_size=4))
    by_id = {item.id: item for item in items}
    for row in rows:
        embeds = torch.cat([vectors, frozen.embed(torch.tensor(slot.body_ids(by_id[row.id].input)))])[None]
        ids = frozen.network.generate(
            inputs_embeds=embeds,
            attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long),
            max_new_tokens=LIMIT,
            do_sample=False,
            repetition_penalty=1.0,
            eos_token_id=list(frozen.stop_ids()),
            pad_token_id=frozen.tokenizer.pad_token_id,
        )[0]
        assert row.n_tokens == len(ids)
        assert row.output == frozen.tokenizer.decode(ids, skip_special_tokens=True)


def test_settings_shipped_with_a_checkpoint_are_ignored(tokenizer, items):
    from tiny import tiny_model

    plain, shipped = tiny_model(tokenizer), tiny_model(tokenizer)
    shipped.network.generation_config.repetition_penalty = 1.5
    shipped.network.generation_config.temperature = 0.3
    slot = Slot.place(tokenizer, Layout(), PROMPT)
    vectors = PromptEmbedding.from_text(plain, slot).vectors
    both = [decode(model, slot, vectors, items, Decoding(max_new_tokens=LIMIT)) for model in (plain, shipped)]
    assert both[0] == both[1]


def test_text_prompt_through_embeddings_equals_text_prompt_through_tokens(frozen, slot, items):
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    row = decode(frozen, slot, vectors, items[:1], Decoding(max_new_tokens=LIMIT))[0]
    ids = torch.tensor([slot.text_path_ids(items[0].input)])
    out = frozen.network.generate(
        ids, max_new_tokens=LIMIT, do_sample=False, eos_token_id=list(frozen.stop_ids()), pad_token_id=0
    )
    assert row.output == frozen.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)


def test_stop_ids_hold_every_end_token_of_the_family(frozen):
    vocabulary = frozen.tokenizer.get_vocab()
    assert set(frozen.stop_ids("family")) == {vocabulary["<|im_end|>"], vocabulary["<|endoftext|>"]}
    assert set(frozen.stop_ids("checkpoint")) == {vocabulary["<|im_end|>"]}


def test_the_order_is_fixed_by_level_and_id(items):
    whole = in_order(items)
    assert in_order(items[::-1]) == whole
    assert all(len({item.level for item in level}) == 1 for level in whole)
    assert in_order([item for item in items if item.level == "2"]) == [whole[1]]


def test_an_answer_that_cannot_fit_is_named(frozen, slot):
    with pytest.raises(UserError, match=r"item long: .* lower max_new_tokens"):
        decode(frozen, slot, torch.zeros(slot.k, 32), [Item("long", "a b", "x", "x")], Decoding(max_new_tokens=250))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, -7.25])
def test_uniform_entropy_is_log2_of_the_vocabulary(dtype, level):
    assert float(entropy_bits(torch.full((1, 1024), level, dtype=dtype))) == 10.0


@given(st.lists(st.floats(-40, 40), min_size=2, max_size=50))
def test_entropy_equals_float64_arithmetic(logits):
    p = torch.softmax(torch.tensor(logits, dtype=torch.float64), dim=0).tolist()
    expected = -sum(value * math.log2(value) for value in p if value > 0)
    assert float(entropy_bits(torch.tensor(logits))) == pytest.approx(expected, abs=1e-4)


def test_entropy_survives_impossible_tokens():
    assert float(entropy_bits(torch.tensor([0.0, 0.0, float("-inf")]))) == pytest.approx(1.0)


def test_looking_at_the_rows_seldom_changes_nothing(frozen, slot, items, monkeypatch):
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    bodies = [slot.body_ids(item.input) for item in items]
    stops = (greedy(frozen, slot, vectors, bodies[:1], 9, ())[0].ids[5],)
    often = greedy(frozen, slot, vectors, bodies, LIMIT, stops, batch_size=3)
    monkeypatch.setitem(INTERVAL, "cpu", 7)  # as on a GPU
    seldom = greedy(frozen, slot, vectors, bodies, LIMIT, stops, batch_size=3)
    assert [row.ids for row in seldom] == [row.ids for row in often]
    assert any(row.ids[-1] in stops for row in seldom)


@pytest.mark.parametrize("graphed", [False, True])
def test_an_empty_input_is_answered_from_the_prompt_alone(frozen, graphed):
    slot = Slot.place(frozen.tokenizer, Layout(separator=""), PROMPT)
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    rows = greedy(frozen, slot, vectors, [[], [5, 6], []], 8, (), batch_size=2, graphed=graphed)
    for row, body in zip(rows, ([], [5, 6], []), strict=True):
        ids, _ = reference.greedy(frozen.network, vectors, (), body, max_new_tokens=8, stop_ids=())
        assert row.ids == ids


def test_stop_on_loop_ends_a_row_where_its_tail_has_repeated(frozen, slot, items):
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    settings = {"max_new_tokens": 80, "loop": LoopRule(3, 8)}
    whole = decode(frozen, slot, vectors, items, Decoding(**settings))
    early = decode(frozen, slot, vectors, items, Decoding(**settings, stop_on_loop=4))
    stopped = [(a, b) for a, b in zip(whole, early, strict=True) if b.stop == "loop_stopped"]
    assert stopped, "the tiny model must loop somewhere"
    assert all(b.n_tokens < a.n_tokens and a.output.startswith(b.output) for a, b in stopped)
    # The others ran beside fewer neighbours, which may touch an entropy's last digits.
    others = [(a, b) for a, b in zip(whole, early, strict=True) if b.stop != "loop_stopped"]
    assert all((a.output, a.stop) == (b.output, b.stop) for a, b in others)


def test_entropies_forced_on_the_own_answer_are_those_of_decoding(frozen, slot, items):
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    bodies = [slot.body_ids(item.input) for item in items]
    rows = greedy(frozen, slot, vectors, bodies, LIMIT, frozen.stop_ids())
    forced = forced_entropies(frozen, slot, vectors, bodies, [row.ids for row in rows])
    assert [len(bits) for bits in forced] == [len(row.ids) for row in rows]
    for row, bits in zip(rows, forced, strict=True):
        assert bits == pytest.approx(row.bits, abs=1e-4)


def test_an_unknown_engine_is_refused(frozen, slot, items):
    with pytest.raises(UserError, match="engine is 'fast'; it must be one of native, vllm"):
        decode(frozen, slot, torch.zeros(slot.k, 32), items, Decoding(max_new_tokens=4, engine="fast"))


def test_vllm_that_is_not_installed_is_said(frozen, slot, items, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match=r"engine vllm: vLLM cannot be imported .* use engine native"):
        decode(frozen, slot, torch.zeros(slot.k, 32), items, Decoding(max_new_tokens=4, engine="vllm"))


LOOPS = [
    ([5] * 30, True, "one token for ever"),
    ([1, 2, 3] + [7, 8, 9, 4] * 8, True, "a phrase repeated to the end"),
    ([1, 2, 3] + [7, 8, 9, 4] * 8 + [7, 8], True, "cut in the middle of the phrase"),
    (list(range(60)), False, "nothing repeats"),
    ([7, 8, 9, 4] * 8 + [1], False, "the repetition ended"),
    ([7, 8] * 5, False, "too short to say"),
    (list(range(20)) * 2, False, "twice is no loop yet"),
    (list(range(20)) * 3, True, "three times is"),
]


@pytest.mark.parametrize(("ids", "expected", "why"), LOOPS, ids=[why for *_, why in LOOPS])
def test_loops(ids, expected, why):
    assert is_loop(ids, LoopRule(repeats=3, tokens=24)) is expected


def test_out_of_memory_answers_fewer_rows_at_a_time(frozen, slot, items, monkeypatch):
    """An allocator that refuses more than three rows, in the middle of the work: what has ended is kept, the rest is the same."""
    vectors = PromptEmbedding.from_text(frozen, slot).vectors
    whole = decode(frozen, slot, vectors, items, Decoding(max_new_tokens=LIMIT, batch_size=6))
    reserve, said, ended = KeyValueLanes._reserve, [], []

    def small_memory(self, needed):
        if len(self.lengths) > 3 and needed > 30:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory")
        reserve(self, needed)

    monkeypatch.setattr(KeyValueLanes, "_reserve", small_memory)
    monkeypatch.setattr("embedgrad_core.decoding.lanes.GROWTH", 1)
    six = Decoding(max_new_tokens=LIMIT, batch_size=6)
    found = decode(frozen, slot, vectors, items, six, on_progress=ended.append, log=said.append)
    assert said
    assert all(line.startswith("out of memory: going on with ") for line in said)
    assert [(row.id, row.output, row.stop) for row in found] == [(row.id, row.output, row.stop) for row in whole]
    assert ended == list(range(1, len(items) + 1))


def test_a_single_answer_that_does_not_fit_is_one_error(frozen, slot, items, monkeypatch):
    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(KeyValueLanes, "_reserve", no_memory)
    with pytest.raises(UserError, match="out of memory with a single answer at a time; shorten the inputs"):
        decode(frozen, slot, PromptEmbedding.from_text(frozen, slot).vectors, items, Decoding(max_new_tokens=LIMIT))
