"""Exports on three architectures, tied and untied: what other tools read answers as ours does, token for token."""

import json

import pytest
import torch
from families import FAMILIES, model_of, moved
from tiny import tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from embedgrad_core import Layout, Slot, load_model
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.export import export
from embedgrad_core.export.folder import before_input, reading
from embedgrad_core.files import UserError

TEXTS = ["12 + 30", "the statement is positive", "No", "x y, and then\nnothing"]
STEPS = 32
MODELS = {
    "qwen2 tied": lambda tokenizer: tiny_model(tokenizer, "qwen2"),
    "llama untied": lambda tokenizer: tiny_model(tokenizer, "llama"),
    "llama tied": lambda tokenizer: tiny_model(tokenizer, "llama", tie_word_embeddings=True),
    # No spare rows in the table: it has to grow.
    "qwen2 tied, full table": lambda tokenizer: tiny_model(tokenizer, "qwen2", vocab_size=len(tokenizer)),
    "gemma tied, scaled": lambda tokenizer: model_of("gemma", tokenizer, **FAMILIES["gemma"]),
    "phi untied, with bias": lambda tokenizer: model_of("phi", tokenizer),
    "gpt2 tied, absolute positions": lambda tokenizer: model_of("gpt2", tokenizer, n_positions=256),
}


@pytest.fixture(scope="module", params=MODELS)
def saved(request, tokenizer, tmp_path_factory):
    """A model as a folder, loaded the way users load it, with a prompt that has moved."""
    folder = tmp_path_factory.mktemp("base") / "model"
    network = MODELS[request.param](tokenizer).network
    with torch.no_grad():  # rows without a token, as real checkpoints pad their tables, are never an answer there
        network.get_output_embeddings().weight[len(tokenizer) :] = 0
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_model(str(folder), device="cpu", dtype="float32", log=lambda line: None)


def ours(frozen, prompt):
    bodies = [prompt.slot.body_ids(text) for text in TEXTS]
    return [row.ids for row in greedy(frozen, prompt.slot, prompt.vectors, bodies, STEPS, ())]


def generated(model, ids):
    """transformers' own greedy generate, told never to stop."""
    with torch.inference_mode():
        settings = {"do_sample": False, "max_new_tokens": STEPS, "eos_token_id": None, "pad_token_id": 0}
        return model.generate(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), **settings)[
            0, len(ids) :
        ].tolist()


@pytest.mark.parametrize("kind", ["bare", "chat"])
def test_the_merged_checkpoint_answers_plain_text_as_ours(saved, kind, tmp_path):
    prompt = moved(saved, Layout(kind, suffix=" ="))
    export("merged", saved, prompt, tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    text = (tmp_path / "merged" / "prompt.txt").read_text()
    slot = Slot.place(tokenizer, prompt.slot.layout, text)
    for body, wanted in zip(TEXTS, ours(saved, prompt), strict=True):
        assert generated(model, slot.text_path_ids(body)) == wanted
    added = tokenizer.convert_tokens_to_ids([f"<|eg_{place}|>" for place in range(slot.k)])
    assert model.generation_config.suppress_tokens == added


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


def test_the_peft_adapter_gives_our_logits_and_text(saved, tmp_path):
    from peft import PeftModel

    prompt = moved(saved, Layout(suffix=" ="))
    export("peft", saved, prompt, tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(saved.name, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    for text, wanted in zip(TEXTS, ours(saved, prompt), strict=True):
        body = prompt.slot.body_ids(text)
        embeds = torch.cat([before_input(saved, prompt), saved.embed(torch.tensor(body))])[None]
        with torch.no_grad():
            expected = saved.network(inputs_embeds=embeds).logits[0, -1]
            found = model(input_ids=torch.tensor([body])).logits[0, -1]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert generated(model, body) == wanted


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
