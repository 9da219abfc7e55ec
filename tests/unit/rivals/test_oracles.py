"""Each gradient rival against its library's own path, one row at a time: loss, gradient, answers."""

from importlib import import_module

import pytest
import torch
from tiny import tiny_model

from embedgrad.rivals.table import RIVALS
from embedgrad_core import Layout, Slot
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.objective import encode
from embedgrad_core.prompt import PromptEmbedding

ON_TINY = [name for name in RIVALS if name != "qlora"]
IDENTITY = {"prompt_tuning_text", "prefix_text", "lora", "dora", "ia3", "adalora"}
STEPS = 24


def family_of(rival):
    return import_module(f"embedgrad.rivals.{rival.family}")


@pytest.fixture(params=["llama", "qwen2"])
def fresh(request, tokenizer):
    """A model of its own: some rivals put modules into it."""
    return tiny_model(tokenizer, request.param)


def begun(frozen, name, items):
    slot = Slot.place(frozen.tokenizer, Layout(), "please reason step by step.")
    rival = RIVALS[name]
    return rival, slot, family_of(rival).begin(frozen, slot, rival, items, 3, STEPS)


@pytest.mark.parametrize("name", ON_TINY)
def test_a_rival_that_starts_as_the_identity_has_the_text_prompts_loss(fresh, items, name):
    slot = Slot.place(fresh.tokenizer, Layout(), "please reason step by step.")
    from embedgrad_core.objective import target_loss

    text = PromptEmbedding.from_text(fresh, slot).initial
    with torch.no_grad():
        plain, count = target_loss(fresh, slot, text, encode(slot, items, fresh.context))
        _, _, rival = begun(fresh, name, items)
        loss, targets = rival.trainable.loss(encode(slot, items, fresh.context))
    assert targets == count
    assert rival.identity is (name in IDENTITY)
    assert (loss.item() == pytest.approx(plain.item(), rel=1e-6)) is rival.identity


@pytest.mark.parametrize("name", ON_TINY)
def test_what_is_stored_answers_as_what_was_trained(fresh, items, name, tokenizer):
    rival, slot, trained = begun(fresh, name, items)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for leaf in trained.trainable.leaves.values():
            leaf.add_(0.05 * torch.randn(leaf.shape, generator=generator))
        best = {key: leaf.detach().clone() for key, leaf in trained.trainable.leaves.items()}
        examples = encode(slot, items, fresh.context)
        loss, _ = trained.trainable.loss(examples)
    other = tiny_model(tokenizer, fresh.network.config.model_type)
    served = family_of(rival).serve(other, slot, rival, trained.store(best))
    from embedgrad_core.objective import target_loss

    with torch.no_grad():
        again, _ = target_loss(other, served.slot, served.vectors, examples, served.past)
    assert again.item() == pytest.approx(loss.item(), rel=1e-5)
    bodies = [served.slot.body_ids(item.input) for item in items]
    rows = greedy(other, served.slot, served.vectors, bodies, 8, [], batch_size=3, past=served.past)
    alone = [greedy(other, served.slot, served.vectors, [body], 8, [], past=served.past)[0] for body in bodies]
    assert [row.ids for row in rows] == [row.ids for row in alone]
