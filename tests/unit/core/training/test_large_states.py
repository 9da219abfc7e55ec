"""States of gigabytes: nothing is copied to be hashed or saved, the steps of an epoch are not kept, and the result is the same."""

import hashlib
import resource

import pytest
import torch
from safetensors.torch import load_file, save
from tiny import tiny_model

from embedgrad_core import Layout, PromptEmbedding, Settings, Slot, optimize
from embedgrad_core.files import UserError
from embedgrad_core.prompt import tensors_sha256, write_tensors
from embedgrad_core.training import loop


@pytest.fixture
def tensors():
    drawn = torch.Generator().manual_seed(0)
    return {
        "b": torch.randn(3, 4, generator=drawn),
        "a": torch.tensor([1, 2, 3]),
        "step": torch.tensor(7.0),
        "none": torch.zeros(0, 4),
        "turned": torch.randn(4, 5, generator=drawn).T,
    }


def test_the_hash_is_that_of_all_names_and_bytes(tensors):
    joined = b"".join(name.encode() + tensors[name].numpy().tobytes() for name in sorted(tensors))
    assert tensors_sha256(tensors) == hashlib.sha256(joined).hexdigest()


def test_a_file_has_the_bytes_of_safetensors(tensors, tmp_path):
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_tensors(tmp_path / "one.st", whole, "text")
    assert (tmp_path / "one.st").read_bytes() == save(whole, metadata={"embedgrad": "text"})
    assert all(torch.equal(tensor, whole[name]) for name, tensor in load_file(tmp_path / "one.st").items())


def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"one\.st: cannot be written"):
            write_tensors(tmp_path / "one.st", {"a": torch.zeros(100_000)}, "text")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("most", [10**9, 0], ids=["every step", "whole epochs"])
def test_an_interrupted_optimisation_goes_on_whatever_is_kept(tokenizer, items, tmp_path, monkeypatch, most):
    """Without snapshots of steps it takes the interrupted epoch again, and ends the same."""
    monkeypatch.setattr(loop, "SNAPSHOTS", most)
    settings = Settings(0.01, 3, batch_size=2, patience=0)
    told = []

    def run(state=None, steps=10**6):
        frozen, taken, real = tiny_model(tokenizer), [], loop.accumulate
        prompt = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(), "please answer."))

        def counted(trainable, batch, batching):
            if torch.is_grad_enabled():
                taken.append(batch)
                if len(taken) > steps:
                    raise KeyboardInterrupt
            return real(trainable, batch, batching)

        with monkeypatch.context() as patch:
            patch.setattr(loop, "accumulate", counted)
            found = optimize(frozen, prompt, items[:4], items[4:6], settings, state=state, log=told.append)
        return found, len(taken)

    (whole, lines), all_steps = run()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "x.state", steps=3)
    assert told[-1] == f"interrupted: {1 if most else 0} steps of epoch 2 are saved"
    (again, history), rest = run(tmp_path / "x.state")
    assert rest == all_steps - (3 if most else 2)
    assert torch.equal(again.vectors, whole.vectors)
    assert [line["dev_loss"] for line in history] == [line["dev_loss"] for line in lines]
