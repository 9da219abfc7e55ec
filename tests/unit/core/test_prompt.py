"""Prompt files: equal bytes for equal prompts, and nothing foreign is taken for one."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_model

from embedgrad_core import Layout, PromptEmbedding, Slot, read_prompt_file
from embedgrad_core.anchoring import anchoring_summary, nearest_tokens
from embedgrad_core.files import UserError

PROMPT = "please reason step by step."


@pytest.fixture
def prompt(frozen):
    made = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout("chat"), PROMPT))
    made.vectors = made.vectors + 0.01
    return made


def test_round_trip(frozen, prompt, tmp_path):
    prompt.save(tmp_path / "a.safetensors", {"note": "Let’s"})
    again = PromptEmbedding.load(tmp_path / "a.safetensors", frozen)
    assert torch.equal(again.vectors, prompt.vectors)
    assert torch.equal(again.initial, prompt.initial)
    assert again.slot.layout == prompt.slot.layout
    assert again.header["note"] == "Let’s"
    again.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_drift_is_relative_displacement(prompt):
    expected = [
        float((v - e).norm() / e.norm()) for v, e in zip(prompt.vectors.double(), prompt.initial.double(), strict=True)
    ]
    assert prompt.drift.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_prompt_for_another_width_is_refused(prompt, tokenizer, tmp_path):
    prompt.save(tmp_path / "p.safetensors")
    other = tiny_model(tokenizer, hidden_size=64)
    with pytest.raises(UserError, match=r"p.safetensors: .* made for tiny-.*, not for tiny-qwen2: .* 32 dim.* has 64"):
        PromptEmbedding.load(tmp_path / "p.safetensors", other)


def test_a_prompt_for_other_weights_is_refused(prompt, tokenizer, tmp_path):
    prompt.save(tmp_path / "p.safetensors")
    other = tiny_model(tokenizer)
    with torch.no_grad():
        other.network.get_input_embeddings().weight.add_(0.5)
    with pytest.raises(UserError, match="embeddings of the prompt's tokens differ"):
        PromptEmbedding.load(tmp_path / "p.safetensors", other)


def test_a_changed_chat_template_is_refused(frozen, prompt, tmp_path, monkeypatch):
    prompt.save(tmp_path / "p.safetensors")
    monkeypatch.setattr(frozen.tokenizer, "chat_template", frozen.tokenizer.chat_template + "!")
    with pytest.raises(UserError, match="chat template around the prompt has changed"):
        PromptEmbedding.load(tmp_path / "p.safetensors", frozen)


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def not_finite(path):
    tensors = load_file(path)
    header = read_prompt_file(path)[1]
    tensors["vectors"][0, 0] = float("nan")
    save_file(tensors, path, metadata={"embedgrad": json.dumps(header)})


def no_header(path):
    save_file(load_file(path), path)


def wrong_shape(path):
    tensors, header = read_prompt_file(path)
    save_file({**tensors, "initial": tensors["initial"][1:]}, path, metadata={"embedgrad": json.dumps(header)})


def pickled(path):
    torch.save({"vectors": torch.zeros(2, 2)}, path)


@pytest.mark.parametrize("spoil", [cut, not_finite, no_header, wrong_shape, pickled, lambda path: path.unlink()])
def test_a_spoilt_file_is_one_clear_error(prompt, tmp_path, spoil):
    path = tmp_path / "p.safetensors"
    prompt.save(path)
    spoil(path)
    with pytest.raises(UserError, match=r"p.safetensors: ") as caught:
        read_prompt_file(path)
    assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_the_old_file(prompt, tmp_path, monkeypatch):
    path = tmp_path / "p.safetensors"
    prompt.save(path)
    old = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("embedgrad_core.prompt.save_file", full)
    with pytest.raises(UserError, match=r"p\.safetensors: cannot be written \(No space left on device\)"):
        prompt.save(path)
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.safetensors"]


def test_unmoved_vectors_are_nearest_to_their_own_tokens(frozen, monkeypatch):
    slot = Slot.place(frozen.tokenizer, Layout(), PROMPT)
    prompt = PromptEmbedding.from_text(frozen, slot)
    monkeypatch.setattr("embedgrad_core.anchoring.VOCABULARY_CHUNK", 7)
    assert tuple(nearest_tokens(frozen, prompt.vectors).tolist()) == slot.prompt_ids
    prompt.vectors[1] = frozen.embed(torch.tensor(3))
    summary = anchoring_summary(frozen, prompt)
    assert (summary["positions"], summary["nearest_token_unchanged"]) == (slot.k, slot.k - 1)
