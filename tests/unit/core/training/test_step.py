"""MicroBatching of a batch: the same sum however it is cut, and what happens when memory runs out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embedgrad_core import Layout, PromptEmbedding, Settings, Slot, optimize
from embedgrad_core.files import UserError
from embedgrad_core.objective import Example, encode
from embedgrad_core.training import trainable as TRAINABLE
from embedgrad_core.training.loop import fit
from embedgrad_core.training.step import MicroBatching, accumulate, checkpointed
from embedgrad_core.training.trainable import Trainable, prompt_vectors


@pytest.fixture(scope="module")
def prompt(frozen):
    return PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(), "please reason step by step."))


def gradient(frozen, prompt, items, batching):
    vectors = prompt.vectors.clone().requires_grad_()
    loss, targets = accumulate(prompt_vectors(frozen, prompt.slot, vectors), encode(prompt.slot, items, 256), batching)
    return loss, targets, vectors.grad


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(1, 20), st.integers(1, 100))
def test_pieces_hold_every_item_once_within_the_budget(lengths, prefix, budget):
    examples = [Example(str(n), [1] * length, [2]) for n, length in enumerate(lengths)]
    micro_batches = MicroBatching(budget).cut(prefix, examples)
    assert sorted(one.id for each in micro_batches for one in each) == sorted(str(n) for n in range(len(lengths)))
    assert all(
        len(micro_batch) == 1 or prefix + sum(e.length for e in micro_batch) <= budget for micro_batch in micro_batches
    )


@pytest.mark.parametrize("budget", [1, 40, 90, 10_000])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_sum_does_not_depend_on_the_pieces(frozen, prompt, items, budget, checkpointing):
    loss, targets, expected = gradient(frozen, prompt, items, MicroBatching(10_000))
    found = gradient(frozen, prompt, items, MicroBatching(budget, checkpointing))
    assert found[0] == pytest.approx(loss, rel=1e-6)
    assert found[1] == targets
    assert (found[2] - expected).norm() / expected.norm() < 1e-5


def test_checkpointing_truly_runs_and_wakes_no_dropout(frozen, prompt, items):
    calls = []
    layer = frozen.network.base_model.layers[0]
    handle = layer.mlp.register_forward_pre_hook(lambda *_: calls.append(layer.mlp.training))
    try:
        gradient(frozen, prompt, items, MicroBatching(10_000))
        once = len(calls)
        gradient(frozen, prompt, items, MicroBatching(10_000, checkpointing=True))
    finally:
        handle.remove()
    assert len(calls) - once == 2 * once, "the layer must run again in the backward pass"
    assert not any(calls)
    assert not frozen.network.training
    assert not layer.training


def test_a_network_that_cannot_be_checkpointed_is_said(frozen):
    with (
        pytest.raises(UserError, match="leave checkpointing off"),
        checkpointed(torch.nn.Linear(2, 2), True),
    ):
        pass


def test_out_of_memory_halves_the_pieces_and_keeps_the_sum(frozen, prompt, items, monkeypatch):
    loss, targets, expected = gradient(frozen, prompt, items, MicroBatching(10_000))
    whole, said = TRAINABLE.target_loss, []

    def small_memory(*arguments):
        if len(arguments[3]) > 2:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory")
        return whole(*arguments)

    monkeypatch.setattr(TRAINABLE, "target_loss", small_memory)
    batching = MicroBatching(10_000, log=said.append)
    found = gradient(frozen, prompt, items, batching)
    assert found[0] == pytest.approx(loss, rel=1e-6)
    assert found[1] == targets
    assert (found[2] - expected).norm() / expected.norm() < 1e-5
    assert said
    assert "out of memory" in said[0]
    assert batching.token_budget < 10_000, "the next batch must start with smaller micro-batches"
    count = len(said)
    gradient(frozen, prompt, items, batching)
    assert len(said) <= count + 1


def test_a_single_item_that_does_not_fit_is_checkpointed_then_named(frozen, prompt, items, monkeypatch):
    said = []

    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TRAINABLE, "target_loss", no_memory)
    with pytest.raises(UserError, match=r"item item/0: out of memory with this item alone"):
        gradient(frozen, prompt, items[:1], MicroBatching(log=said.append))
    assert "checkpointing" in said[0]


def test_other_errors_are_not_taken_for_memory(frozen, prompt, items, monkeypatch):
    def broken(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(TRAINABLE, "target_loss", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        gradient(frozen, prompt, items, MicroBatching())


def test_a_budget_smaller_than_the_longest_item_is_refused(frozen, prompt, items):
    with pytest.raises(
        UserError, match=r"token_budget 9 is smaller than item item/\d with the prompt .* give at least"
    ):
        optimize(frozen, prompt, items, items[:2], Settings(0.01, 1, token_budget=9))


def test_a_leaf_that_a_step_does_not_train_is_left_as_it_is_and_its_adam_begins_when_it_is(frozen, prompt, items):
    """As two runs of Adam, one after the other: no moments of zero gradients, no momentum once a leaf is out of it."""
    leaves = {name: torch.linspace(-1, 1, 5).requires_grad_() for name in ("first", "second")}
    seen = []

    def loss(examples):
        if torch.is_grad_enabled():
            for name, leaf in leaves.items():
                leaf.requires_grad_(name == ("first" if len(seen) < 2 else "second"))
        total = sum((leaf**3).sum() + leaf.square().sum() for leaf in leaves.values())
        return total * len(examples), len(examples)

    def after_step(done):
        seen.append({name: leaf.detach().clone() for name, leaf in leaves.items()})

    trainable = Trainable(frozen, leaves, 1, loss, lambda: 0.0, after_step=after_step)
    examples = encode(prompt.slot, items[:4], frozen.context)
    fit(trainable, examples, examples, Settings(0.1, 2, batch_size=2, patience=0))
    for name, steps in (("first", seen[:2]), ("second", seen[2:])):
        alone = torch.linspace(-1, 1, 5).requires_grad_()
        optimizer = torch.optim.Adam([alone], lr=0.1)
        for found in steps:
            optimizer.zero_grad()
            ((alone**3).sum() + alone.square().sum()).backward()
            optimizer.step()
            assert torch.equal(found[name], alone.detach())
    assert torch.equal(seen[0]["second"], torch.linspace(-1, 1, 5))
    assert torch.equal(seen[3]["first"], seen[1]["first"])
