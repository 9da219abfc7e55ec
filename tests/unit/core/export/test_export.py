"""Exports on three architectures, tied and untied: what other tools read answers as ours does, token for token."""

import json

import pytest
import torch
from exports import MODELS, TEXTS, generated, merged_answers_as_ours, ours, peft_answers_as_ours, saved_model
from families import moved
from tiny import tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from embedgrad_core import Layout, Slot, load_model
from embedgrad_core.export import export
from embedgrad_core.export.folder import reading
from embedgrad_core.files import UserError


@pytest.fixture(scope="module", params=MODELS)
def saved(request, tokenizer, tmp_path_factory):
    return saved_model(request.param, tokenizer, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module", params=list(MODELS)[::2])
def every_other(request, tokenizer, tmp_path_factory):
    """The others are exported and read again in tests/system/export."""
    return saved_model(request.param, tokenizer, tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("kind", ["bare", "chat"])
def test_the_merged_checkpoint_answers_plain_text_as_ours(every_other, kind, tmp_path):
    merged_answers_as_ours(every_other, kind, tmp_path)


def test_added_tokens_are_never_the_largest_logit(saved, tmp_path):
    prompt = moved(saved, Layout())
    export("merged", saved, prompt, tmp_path / "merged")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    added = AutoTokenizer.from_pretrained(tmp_path / "merged").convert_tokens_to_ids(["<|eg_0|>", "<|eg_1|>"])
    hidden = 5 * torch.randn(500, saved.width, generator=torch.Generator().manual_seed(0))
    logits = model.get_output_embeddings()(hidden)
    others = [token for token in range(logits.shape[1]) if token not in added]
    assert bool((logits[:, added].max(dim=1).values < logits[:, others].max(dim=1).values).all())
    assert torch.allclose(saved.embed(torch.arange(40)), model.get_input_embeddings()(torch.arange(40))), (
        "old rows stay"
    )


def test_the_peft_adapter_gives_our_logits_and_text(every_other, tmp_path):
    peft_answers_as_ours(every_other, tmp_path)


def test_a_bos_token_becomes_a_virtual_token(tmp_path, mirror):
    from peft import PeftModel

    frozen = load_model(str(mirror / "models" / "stories3M"), device="cpu", dtype="float32", log=lambda line: None)
    prompt = moved(frozen, Layout())
    assert prompt.slot.head_ids == (1,)
    export("peft", frozen, prompt, tmp_path / "adapter")
    export("merged", frozen, prompt, tmp_path / "merged")
    assert (
        json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["num_virtual_tokens"]
        == prompt.slot.k + 1
    )
    base = AutoModelForCausalLM.from_pretrained(frozen.name, dtype=torch.float32)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    text = (tmp_path / "merged" / "prompt.txt").read_text()
    rows = ours(frozen, prompt)
    for body, wanted in zip(TEXTS, rows, strict=True):
        assert generated(merged, tokenizer(f"{text} {body}")["input_ids"]) == wanted
    model = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    for body, wanted in zip(TEXTS, rows, strict=True):
        assert generated(model, prompt.slot.body_ids(body)) == wanted


def test_a_prompt_that_merges_with_its_separator_is_read_apart(mirror):
    qwen = AutoTokenizer.from_pretrained(mirror / "tokenizers/qwen2.5")
    found = reading(Slot.place(qwen, Layout(separator="\n"), "Answer."))
    assert found == {"before": "\n", "special": False, "start": 0, "tail": ""}
    found = reading(Slot.place(qwen, Layout(suffix=" ="), "Answer."))
    assert found == {"before": "Answer. ", "special": True, "start": 2, "tail": " ="}


def test_vectors_for_vllm(saved, tmp_path):
    from safetensors.torch import load_file

    prompt = moved(saved, Layout("chat"))
    export("vllm", saved, prompt, tmp_path / "vllm")
    before = load_file(tmp_path / "vllm" / "prompt_embeds.safetensors")["before"]
    head = len(prompt.slot.head_ids)
    assert torch.equal(before[head:], prompt.vectors)
    assert torch.equal(before[:head], saved.embed(torch.tensor(prompt.slot.head_ids)))


def test_what_cannot_be_exported_is_refused_and_nothing_is_left(tokenizer, tmp_path):
    folder = tmp_path / "model"
    tiny_model(tokenizer).network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    frozen = load_model(str(folder), device="cpu", dtype="float32", log=lambda line: None)
    with pytest.raises(UserError, match="inside the chat template"):
        export("peft", frozen, moved(frozen, Layout("chat")), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(UserError, match="exists already"):
        export("vllm", frozen, moved(frozen, Layout()), tmp_path / "full")
    with pytest.raises(UserError, match="neither a cell's"):
        export("vllm", frozen, moved(frozen, Layout()), tmp_path / "out", metrics={"n": 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "model"]
    export("merged", frozen, moved(frozen, Layout()), tmp_path / "once")
    twice = load_model(str(tmp_path / "once"), device="cpu", dtype="float32", log=lambda line: None)
    with pytest.raises(UserError, match="already holds"):
        export("merged", twice, moved(twice, Layout()), tmp_path / "twice")
