"""Gradient rivals before their first step, and what is stored of them; tests/system/rivals has their libraries as oracles."""

import pytest
import torch
from rival_samples import ON_TINY, alternating, begun, family_of, stored_answers_as_trained
from tiny import tiny_model

from embedgrad.rivals.table import RIVALS
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


@pytest.mark.parametrize("layout", [Layout(), Layout("chat")], ids=["bare", "chat"])
@pytest.mark.parametrize(
    ("name", "more"), [("prefix_text", 0), ("prompt_tuning_text", 0), ("lora", 0), ("p_tuning_v2", 1)]
)
def test_positions_are_those_of_the_prompt_in_any_template(tokenizer, items, layout, name, more):
    """A prefix from the text stands in its place, with the template's head before it; P-Tuning v2's as many stand beside it."""
    frozen = tiny_model(tokenizer)
    slot = Slot.place(frozen.tokenizer, layout, "please reason step by step.")
    family = family_of(RIVALS[name])
    begun = family.begin(frozen, slot, RIVALS[name], items, 3, 24)
    stored = begun.store({key: leaf.detach() for key, leaf in begun.trainable.leaves.items()})
    served = family.serve(tiny_model(tokenizer), slot, RIVALS[name], stored)
    assert (served.positions, bool(served.head)) == (
        slot.k * (1 + more),
        name == "prefix_text" and layout.kind == "chat",
    )


@pytest.mark.parametrize(("family", "name"), alternating("llama", "qwen2"))
def test_what_is_stored_answers_as_what_was_trained(tokenizer, items, family, name):
    """Every other pair of a family and a rival; the rest is in tests/system/rivals/test_oracles.py."""
    stored_answers_as_trained(tiny_model(tokenizer, family), name, items)
