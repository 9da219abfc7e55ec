"""The loop against the plain reference; determinism, resuming, early stopping, frozen weights."""

import hashlib

import pytest
import reference
import torch
from tiny import tiny_model, untouched_prompt

from embedgrad_core import Settings, optimize
from embedgrad_core.files import UserError, write_jsonl
from embedgrad_core.objective import target_loss
from embedgrad_core.training import loop as LOOP
from embedgrad_core.training import trainable as TRAINABLE
from embedgrad_core.training.loop import best_epoch
from embedgrad_core.training.resume import EpochProgress, Snapshot, load_state, save_state
from embedgrad_core.training.trainable import Trainable


def weights_hash(network):
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("batch_size", [3, 8])
def test_vectors_equal_the_reference_after_two_epochs(frozen, items, batch_size):
    prompt, slot = untouched_prompt(frozen), untouched_prompt(frozen).slot
    settings = Settings(learning_rate=0.01, epochs=2, batch_size=batch_size, seed=5, patience=0)
    trained, history = optimize(frozen, prompt, items, items[:2], settings)
    batches = []
    for epoch in (1, 2):
        generator = torch.Generator().manual_seed(5 * 1_000_003 + epoch)
        order = torch.randperm(len(items), generator=generator).tolist()
        batches += [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
    rows = [(slot.head_ids, slot.body_ids(item.input), slot.target_ids(item)) for item in items]
    expected = reference.embedgrad(frozen.network, slot.prompt_ids, rows, learning_rate=0.01, batches=batches)
    assert trained.header["best_epoch"] == 2, "the case needs the last epoch to be the best"
    torch.testing.assert_close(trained.vectors, expected, rtol=1e-3, atol=2e-4)
    assert not torch.allclose(trained.vectors, prompt.vectors, atol=5e-3), "the prompt must have moved"
    assert [line["epoch"] for line in history] == [0, 1, 2]


def test_only_the_prompt_changes(tokenizer, items):
    frozen = tiny_model(tokenizer)
    before, prompt = weights_hash(frozen.network), untouched_prompt(frozen)
    initial = prompt.vectors.clone()
    optimize(frozen, prompt, items, items[:2], Settings(0.01, 2))
    assert weights_hash(frozen.network) == before
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in frozen.network.parameters())
    assert torch.equal(prompt.vectors, initial), "the caller's prompt is not touched"


def test_the_best_epoch_on_dev_is_kept_and_patience_ends_the_run(frozen, items, monkeypatch):
    once, _ = optimize(frozen, untouched_prompt(frozen), items, items[:2], Settings(0.01, 1))
    dev_losses = iter([5.0, 4.0, 4.5, 4.25, 1.0])
    monkeypatch.setattr(LOOP, "mean_loss", lambda *_: next(dev_losses))
    trained, history = optimize(frozen, untouched_prompt(frozen), items, items[:2], Settings(0.01, 9, patience=2))
    assert [line["dev_loss"] for line in history] == [5.0, 4.0, 4.5, 4.25]
    assert trained.header["best_epoch"] == 1
    assert torch.equal(trained.vectors, once.vectors)


def test_the_losses_of_the_dev_items_are_kept_where_asked_for(frozen, items):
    _, plain = optimize(frozen, untouched_prompt(frozen), items, items[:3], Settings(0.01, 1))
    _, kept = optimize(frozen, untouched_prompt(frozen), items, items[:3], Settings(0.01, 1), item_losses=True)
    assert not any("dev_losses" in line for line in plain)
    for line, other in zip(kept, plain, strict=True):
        assert len(line["dev_losses"]) == 3
        assert sum(line["dev_losses"]) / 3 == pytest.approx(line["dev_loss"])
        assert line["dev_loss"] == pytest.approx(other["dev_loss"], rel=1e-4)


def test_dev_accuracy_chooses_and_loss_breaks_ties():
    settings = Settings(0.01, 5, early_stop="dev_accuracy")
    scores = [(0.2, 9.0), (0.5, 3.0), (0.5, 2.0), (0.5, 2.0), (0.4, 1.0)]
    history = [{"epoch": n, "dev_accuracy": a, "dev_loss": loss} for n, (a, loss) in enumerate(scores)]
    assert best_epoch(history, settings) == 2
    assert best_epoch(history, Settings(0.01, 5)) == 4


def test_non_finite_loss_keeps_the_last_good_prompt(frozen, items, monkeypatch):
    settings = Settings(0.01, 5, batch_size=8, patience=0)
    good, _ = optimize(frozen, untouched_prompt(frozen), items, items[:2], Settings(0.01, 2, batch_size=8, patience=0))
    steps = []

    def overflowing(*arguments):
        loss, tokens = target_loss(*arguments)
        steps.append(loss.requires_grad)
        return (loss * float("inf") if sum(steps) == 3 else loss), tokens

    monkeypatch.setattr(TRAINABLE, "target_loss", overflowing)
    trained, history = optimize(frozen, untouched_prompt(frozen), items, items[:2], settings)
    assert [line["epoch"] for line in history] == [0, 1, 2, 3]
    assert "not finite" in history[-1]["stopped"]
    assert torch.equal(trained.vectors, good.vectors)


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf")])
def test_non_finite_dev_loss_keeps_the_last_good_prompt(frozen, items, tmp_path, monkeypatch, spoilt):
    settings = Settings(0.01, 5, batch_size=8, patience=0)
    good, _ = optimize(frozen, untouched_prompt(frozen), items, items[:2], Settings(0.01, 2, batch_size=8, patience=0))
    real, calls = LOOP.mean_loss, []

    def overflowing(*arguments):
        calls.append(1)
        return spoilt if len(calls) == 4 else real(*arguments)

    monkeypatch.setattr(LOOP, "mean_loss", overflowing)
    trained, history = optimize(frozen, untouched_prompt(frozen), items, items[:2], settings, state=tmp_path / "state")
    assert [line["epoch"] for line in history] == [0, 1, 2, 3]
    assert history[-1]["stopped"] == f"loss {spoilt} on dev is not finite"
    assert torch.equal(trained.vectors, good.vectors)
    write_jsonl(tmp_path / "history.jsonl", history)
    calls[:] = [1, 1, 1]
    with pytest.raises(UserError, match=f"the loss on dev is {spoilt} before the first step: .*in float32"):
        optimize(frozen, untouched_prompt(frozen), items, items[:2], settings)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_resumed_run_ends_with_the_same_vectors(frozen, items, tmp_path, optimizer):
    settings = Settings(0.01, 4, batch_size=3, patience=0, optimizer=optimizer)
    whole, history = optimize(frozen, untouched_prompt(frozen), items, items[:2], settings)
    state = tmp_path / "state"

    class Killed(Exception):
        pass

    def kill(line):
        if line["epoch"] == 2:
            raise Killed

    with pytest.raises(Killed):
        optimize(frozen, untouched_prompt(frozen), items, items[:2], settings, state=state, on_epoch=kill)
    seen = []
    resumed, lines = optimize(
        frozen, untouched_prompt(frozen), items, items[:2], settings, state=state, on_epoch=seen.append
    )
    assert [line["epoch"] for line in seen] == [3, 4], "finished epochs are not repeated"
    assert torch.equal(resumed.vectors, whole.vectors)
    assert [line["dev_loss"] for line in lines] == [line["dev_loss"] for line in history]


LINE = {"epoch": 0, "dev_loss": 1.5, "dev_accuracy": None}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"history": [{**LINE, "dev_loss": "x"}]}, "history.0.dev_loss"),
        ({"history": [{**LINE, "epoch": 3}]}, "history.0.epoch"),
        ({"history": [{"epoch": 0, "stopped": "x"}]}, "history.0.dev_loss"),
        ({"history": 3}, "history"),
        ({"passed": EpochProgress(steps="x")}, "steps"),
        ({"tensors": {"vectors": torch.ones(1, 3)}}, "'vectors'"),
        ({"tensors": {"best vectors": torch.full((2, 3), torch.nan)}}, "'best vectors'"),
        ({"tensors": {"exp_avg vectors": torch.ones(3)}}, "'exp_avg vectors'"),
        ({"tensors": {"buffer ranks": torch.ones(3)}}, "'buffer ranks'"),
    ],
    ids=str,
)
def test_a_forged_state_is_refused(change, told, tmp_path):
    """Its checksum is right: whoever writes a state can write that too."""
    vectors, ranks = torch.ones(2, 3), torch.ones(2)
    trained = Trainable(None, {"vectors": vectors}, 2, None, None, buffers=lambda: {"ranks": ranks})
    sound = {"vectors": vectors, "best vectors": vectors.clone(), "buffer ranks": ranks}
    tensors = sound | change.get("tensors", {})
    path = tmp_path / "p.state"
    save_state(path, "run", Snapshot({**tensors}, change.get("history", [LINE]), change.get("passed", EpochProgress())))
    with pytest.raises(UserError, match=rf"p\.state: unreadable resume state \(.*{told}"):
        load_state(path, "run", trained)
    save_state(
        path,
        "run",
        Snapshot({**sound}, [LINE, {"epoch": 1, "stopped": "x"}], EpochProgress()),
    )
    assert load_state(path, "run", trained).history[1]["stopped"] == "x"


def test_a_state_of_another_run_is_refused(frozen, items, tmp_path):
    state = tmp_path / "state"
    optimize(frozen, untouched_prompt(frozen), items, items[:2], Settings(0.01, 1), state=state)
    with pytest.raises(UserError, match="belongs to another"):
        optimize(frozen, untouched_prompt(frozen), items, items[:2], Settings(0.02, 1), state=state)
    state.write_bytes(state.read_bytes()[:-7])
    with pytest.raises(UserError, match="unreadable resume state"):
        optimize(frozen, untouched_prompt(frozen), items, items[:2], Settings(0.01, 1), state=state)


@pytest.mark.parametrize(
    "wrong",
    [{"learning_rate": 0}, {"epochs": 0}, {"optimizer": "lion"}, {"early_stop": "test"}, {"loss_reduction": "max"}],
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises(UserError):
        Settings(**{"learning_rate": 0.01, "epochs": 1, **wrong})
