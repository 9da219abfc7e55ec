"""Architectures beside Qwen2 and Llama: gate, one optimisation, decoding equal to the plainest loop."""

from dataclasses import replace

import pytest
import reference
import torch
from families import FAMILIES, model_of
from transformers import AutoConfig, AutoModelForCausalLM

from embedgrad_core import (
    Decoding,
    FrozenModel,
    Layout,
    PromptEmbedding,
    Settings,
    Slot,
    check_step_zero,
    decode,
    optimize,
)
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.files import UserError
from embedgrad_core.likelihood import continuation_log_likelihoods


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tokenizer):
    return model_of(request.param, tokenizer, **FAMILIES[request.param])


@pytest.fixture(scope="module")
def prompt(family):
    slot = Slot.place(family.tokenizer, Layout(), "please reason step by step.")
    return PromptEmbedding.from_text(family, slot)


def test_gate_passes_and_an_optimisation_lowers_the_loss(family, prompt, items):
    report = check_step_zero(family, prompt, items)
    assert report.loss_difference < 1e-4
    settings = Settings(0.02, 2, batch_size=4, patience=0)
    _, history = optimize(family, prompt, items, items, settings)
    assert history[-1]["dev_loss"] < history[0]["dev_loss"]


def test_loss_and_gradient_equal_the_reference(family, prompt, items):
    from embedgrad_core.objective import encode, target_loss

    slot = prompt.slot
    vectors = prompt.vectors.clone().requires_grad_()
    loss, _ = target_loss(family, slot, vectors, encode(slot, items, 256))
    loss.backward()
    plain = prompt.vectors.clone().requires_grad_()
    expected = sum(
        reference.item_loss(family.network, plain, slot.head_ids, slot.body_ids(item.input), slot.target_ids(item))
        for item in items
    )
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    assert (vectors.grad - plain.grad).norm() / plain.grad.norm() < 1e-5


@pytest.mark.parametrize("text", ["please reason step by step.", ""])
def test_continuations_as_branches_equal_each_by_itself(family, items, text):
    slot = Slot.place(family.tokenizer, Layout(), text or "a")
    if not text:  # nothing stands before the inputs
        slot = replace(slot, head_ids=(), prompt_ids=())
    vectors = family.embed(torch.tensor(slot.prompt_ids, dtype=torch.long)).detach()
    inputs, labels = [items[0].input, items[1].input * 3, "a"], ["a", "a film", "a film that goes on", "no"]
    found, lengths = continuation_log_likelihoods(family, slot, vectors, inputs, labels)
    for place, one in enumerate(inputs):
        for column, label in enumerate(labels):
            ids = slot.continuation_ids(one, label)
            alone = reference.item_loss(family.network, vectors, slot.head_ids, slot.body_ids(one), ids)
            assert float(found[place, column]) == pytest.approx(-float(alone), abs=2e-4)
            assert int(lengths[place, column]) == len(ids)


@pytest.fixture(scope="module")
def plain(family, prompt, items):
    """Five inputs, short and long; the tokens and entropies of the plainest loop for each."""
    how = {"max_new_tokens": 16, "stop_ids": family.stop_ids()}
    bodies = [prompt.slot.body_ids(item.input) for item in items[:5]]
    return bodies, [reference.greedy(family.network, prompt.vectors, (), body, **how) for body in bodies]


@pytest.mark.parametrize("graphed", [False, True])
def test_decoding_equals_plain_argmax(family, prompt, plain, graphed):
    bodies, wanted = plain
    rows = greedy(family, prompt.slot, prompt.vectors, bodies, 16, family.stop_ids(), batch_size=3, graphed=graphed)
    for row, (ids, bits) in zip(rows, wanted, strict=True):
        assert row.ids == ids
        assert row.bits == pytest.approx(bits, abs=1e-4)


@pytest.mark.parametrize(
    ("family", "reason"),
    [("mamba", "does not use transformers' attention interface"), ("bloom", "does not use"), ("lfm2", "of kind conv")],
)
def test_an_architecture_without_a_usable_cache_is_refused(tokenizer, items, family, reason):
    if family == "bloom":
        changes = {"n_layer": 1, "n_head": 4}
    else:
        changes = {"layer_types": ["conv", "full_attention"]} if family == "lfm2" else {}
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, **changes)
    network = AutoModelForCausalLM.from_config(config).eval()
    frozen = FrozenModel(network, tokenizer, family, "main", "")
    slot = Slot.place(tokenizer, Layout(), "step by step")
    prompt = PromptEmbedding.from_text(frozen, slot)
    with pytest.raises(UserError, match=reason):
        check_step_zero(frozen, prompt, items)
    with pytest.raises(UserError, match=reason):
        decode(frozen, slot, prompt.vectors, items, Decoding(max_new_tokens=4))


def test_logits_capped_behind_the_head_are_refused(tokenizer, items):
    frozen = model_of("gemma2", tokenizer, head_dim=8, final_logit_softcapping=3.0)
    prompt = PromptEmbedding.from_text(frozen, Slot.place(tokenizer, Layout(), "step by step"))
    with pytest.raises(UserError, match="changes logits after its output layer"):
        check_step_zero(frozen, prompt, items)
