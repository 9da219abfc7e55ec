"""Loss and gradient against the plain reference and against PEFT's prompt tuning."""

import copy

import pytest
import reference
import torch

from embedgrad_core import Layout, PromptEmbedding, Slot, check_step_zero
from embedgrad_core.files import Item, UserError
from embedgrad_core.objective import encode, target_loss

PROMPT = "please reason step by step."


def ours(frozen, slot, items):
    vectors = PromptEmbedding.from_text(frozen, slot).vectors.requires_grad_()
    loss, tokens = target_loss(frozen, slot, vectors, encode(slot, items, frozen.context))
    loss.backward()
    return loss.detach(), vectors.grad, tokens


@pytest.mark.parametrize("layout", [Layout(target_prefix="\n"), Layout("chat"), Layout("chat", slot="system")])
def test_loss_and_gradient_equal_the_reference(frozen, items, layout):
    slot = Slot.place(frozen.tokenizer, layout, PROMPT)
    loss, gradient, tokens = ours(frozen, slot, items)
    vectors = frozen.embed(torch.tensor(slot.prompt_ids)).clone().requires_grad_()
    expected = sum(
        reference.item_loss(frozen.network, vectors, slot.head_ids, slot.body_ids(item.input), slot.target_ids(item))
        for item in items
    )
    expected.backward()
    assert tokens == sum(len(slot.target_ids(item)) for item in items)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=0)
    assert (gradient - vectors.grad).norm() / vectors.grad.norm() < 1e-5


def test_loss_and_gradient_equal_peft(frozen, items):
    peft = pytest.importorskip("peft")
    slot = Slot.place(frozen.tokenizer, Layout(target_prefix="\n"), PROMPT)
    loss, gradient, _ = ours(frozen, slot, items)
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=slot.k)
    network = peft.get_peft_model(copy.deepcopy(frozen.network), config)
    weight = network.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        weight.copy_(frozen.embed(torch.tensor(slot.prompt_ids)))
    total = 0.0
    for item in items:
        body, target = slot.body_ids(item.input), slot.target_ids(item)
        labels = torch.tensor([[-100] * len(body) + target])
        # PEFT's loss is the mean over target tokens; Eq. 6 is their sum.
        item_loss = network(input_ids=torch.tensor([body + target]), labels=labels).loss * len(target)
        item_loss.backward()
        total += float(item_loss.detach())
    assert float(loss) == pytest.approx(total, rel=1e-4)
    assert (gradient - weight.grad).norm() / weight.grad.norm() < 1e-4


def test_gradient_equals_finite_differences(tokenizer, items):
    from tiny import tiny_model

    frozen = tiny_model(tokenizer)
    frozen.network.double()
    slot = Slot.place(tokenizer, Layout(), PROMPT)
    examples = encode(slot, items[:3], frozen.context)
    vectors = frozen.embed(torch.tensor(slot.prompt_ids)).clone().requires_grad_()
    loss, _ = target_loss(frozen, slot, vectors, examples)
    loss.backward()
    step = torch.randn(vectors.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 1e-3
    with torch.no_grad():
        change = float(
            target_loss(frozen, slot, vectors + step, examples)[0]
            - target_loss(frozen, slot, vectors - step, examples)[0]
        )
    assert change == pytest.approx(2 * float((vectors.grad * step).sum()), rel=1e-3)


def test_a_batch_is_the_sum_of_its_items(frozen, items):
    slot = Slot.place(frozen.tokenizer, Layout(), PROMPT)
    whole, gradient, _ = ours(frozen, slot, items)
    singles = [ours(frozen, slot, [item]) for item in items]
    torch.testing.assert_close(whole, sum(single[0] for single in singles), rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient, sum(single[1] for single in singles), rtol=1e-3, atol=1e-5)


def test_gate_passes_and_counts_seams(frozen, items):
    prompt = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(), PROMPT))
    report = check_step_zero(frozen, prompt, items)
    assert (report.items, report.seams) == (len(items), 0)
    assert report.max_logit_difference < 1e-5
    assert report.loss_difference < 1e-5


def test_gate_refuses_vectors_that_are_not_the_texts_own(frozen, items):
    prompt = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(), PROMPT))
    prompt.initial = prompt.initial * 1.01
    with pytest.raises(UserError, match="step-0 gate"):
        check_step_zero(frozen, prompt, items)


def test_gate_refuses_a_model_that_changes_logits_behind_its_head(tokenizer, items):
    from tiny import tiny_model

    frozen = tiny_model(tokenizer)
    forward = frozen.network.forward

    def capped(*args, **kwargs):
        output = forward(*args, **kwargs)
        output.logits = 5 * torch.tanh(output.logits / 5)
        return output

    frozen.network.forward = capped
    prompt = PromptEmbedding.from_text(frozen, Slot.place(tokenizer, Layout(), PROMPT))
    with pytest.raises(UserError, match="changes logits after its output layer"):
        check_step_zero(frozen, prompt, items)


def test_an_item_beyond_the_context_is_named(frozen):
    slot = Slot.place(frozen.tokenizer, Layout(), PROMPT)
    with pytest.raises(UserError, match=r"item long: .* context is 256"):
        encode(slot, [Item("long", "word " * 300, "Yes", "Yes")], frozen.context)
