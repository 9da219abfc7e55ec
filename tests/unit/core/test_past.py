"""Keys and values before everything, against transformers' own cache, one row at a time."""

import pytest
import torch
from transformers import DynamicCache

from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot, decode
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.files import UserError
from embedgrad_core.model.attention import Past
from embedgrad_core.objective import encode, target_loss

P = 5


@pytest.fixture(scope="module")
def prompt(frozen):
    return PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(), "please reason step by step."))


def drawn_past(frozen, places=P):
    config = frozen.network.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shape = (config.num_hidden_layers, config.num_key_value_heads, places, width)
    generator = torch.Generator().manual_seed(3)
    return Past(*(torch.randn(shape, generator=generator).requires_grad_() for _ in range(2)))


def as_cache(past):
    cache = DynamicCache()
    for layer, (key, value) in enumerate(zip(past.keys, past.values, strict=True)):
        cache.update(key[None], value[None], layer)
    return cache


def logits(frozen, past, slot, vectors, ids):
    """transformers' own forward pass behind the past: positions start behind it."""
    embeds = torch.cat(
        [frozen.embed(torch.tensor(slot.head_ids, dtype=torch.long)), vectors, frozen.embed(torch.tensor(ids))]
    )
    return frozen.network(inputs_embeds=embeds[None], past_key_values=as_cache(past)).logits[0]


def test_loss_and_gradients_equal_transformers_own_cache(frozen, prompt, items):
    past, slot, vectors = drawn_past(frozen), prompt.slot, prompt.vectors.clone().requires_grad_()
    leaves = [past.keys, past.values, vectors]
    examples = encode(slot, items, frozen.context)
    loss, _ = target_loss(frozen, slot, vectors, examples, past)
    found = torch.autograd.grad(loss, leaves)
    total = torch.zeros(())
    for example in examples:
        ids = (example.body + example.target)[: example.length]
        own = logits(frozen, past, slot, vectors, ids)[-len(example.target) :]
        total = total + torch.nn.functional.cross_entropy(own, torch.tensor(example.target), reduction="sum")
    expected = torch.autograd.grad(total, leaves)
    assert loss.item() == pytest.approx(total.item(), rel=1e-5)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).norm() / theirs.norm() < 1e-4


@pytest.fixture(scope="module", params=[True, False], ids=["prompt", "no prompt"])
def answered(request, frozen, prompt, items):
    """The vectors, and what transformers' own cache answers behind the past, one row at a time."""
    past, slot, answers = drawn_past(frozen), prompt.slot, []
    vectors = prompt.vectors if request.param else prompt.vectors[:0]
    with torch.no_grad():
        for item in items:
            ids = body = slot.body_ids(item.input)
            for _ in range(12):
                ids = [*ids, int(logits(frozen, past, slot, vectors, ids)[-1].argmax())]
            answers.append(ids[len(body) :])
    return vectors, answers


@pytest.mark.parametrize("rows", [1, 3])
def test_answers_equal_transformers_own_cache(frozen, prompt, items, answered, rows):
    vectors, answers = answered
    bodies = [prompt.slot.body_ids(item.input) for item in items]
    found = greedy(frozen, prompt.slot, vectors, bodies, 12, [], batch_size=rows, past=drawn_past(frozen))
    assert [row.ids for row in found] == answers


def test_a_past_counts_against_the_context_and_needs_the_native_engine(frozen, prompt, items):
    room = frozen.context - max(len(prompt.slot.body_ids(item.input)) for item in items) - prompt.slot.k
    with pytest.raises(UserError, match=r"need \d+ positions"):
        decode(
            frozen,
            prompt.slot,
            prompt.vectors,
            items,
            Decoding(max_new_tokens=room - P),
            past=drawn_past(frozen, P + 1),
        )
    with pytest.raises(UserError, match="need engine native"):
        decode(
            frozen,
            prompt.slot,
            prompt.vectors,
            items,
            Decoding(max_new_tokens=4, engine="vllm"),
            past=drawn_past(frozen),
        )
