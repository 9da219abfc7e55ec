"""Gradient rivals before their first step, and what is stored of them; tests/system/rivals has their libraries as oracles."""

import pytest
import torch
from rival_samples import ON_TINY, alternating, begun, stored_answers_as_trained
from tiny import tiny_model

from embedgrad_core import Layout, Slot
from embedgrad_core.objective import encode, target_loss
from embedgrad_core.prompt import PromptEmbedding

IDENTITY = {"prompt_tuning_text", "prefix_text", "lora", "dora", "ia3", "adalora", "fine_tuning"}


@pytest.fixture(params=["llama", "qwen2"])
def fresh(request, tokenizer):
    """A model of its own: some rivals put modules into it."""
    return tiny_model(tokenizer, request.param)


@pytest.mark.parametrize("name", ON_TINY)
def test_a_rival_that_starts_as_the_identity_has_the_text_prompts_loss(fresh, items, name):
    slot = Slot.place(fresh.tokenizer, Layout(), "please reason step by step.")
    text = PromptEmbedding.from_text(fresh, slot).initial
    with torch.no_grad():
        plain, count = target_loss(fresh, slot, text, encode(slot, items, fresh.context))
        _, _, rival = begun(fresh, name, items)
        loss, targets = rival.trainable.loss(encode(slot, items, fresh.context))
    assert targets == count
    assert rival.identity is (name in IDENTITY)
    assert (loss.item() == pytest.approx(plain.item(), rel=1e-6)) is rival.identity


@pytest.mark.parametrize(("family", "name"), alternating("llama", "qwen2"))
def test_what_is_stored_answers_as_what_was_trained(tokenizer, items, family, name):
    """Every other pair of a family and a rival; the rest is in tests/system/rivals/test_oracles.py."""
    stored_answers_as_trained(tiny_model(tokenizer, family), name, items)
