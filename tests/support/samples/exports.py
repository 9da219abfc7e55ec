"""Models of three architectures, tied and untied, as folders; what is exported of them, held against what ours answers."""

import torch
from families import FAMILIES, model_of, moved
from tiny import tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from embedgrad_core import Layout, Slot, load_model
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.export import export
from embedgrad_core.export.folder import before_input

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


def saved_model(name, tokenizer, folder):
    """A model as a folder, loaded the way users load it."""
    folder = folder / "model"
    network = MODELS[name](tokenizer).network
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


def merged_answers_as_ours(saved, kind, tmp_path):
    """A merged checkpoint, given plain text, answers token for token as the prompt's vectors do here."""
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


def peft_answers_as_ours(saved, tmp_path):
    """A PEFT adapter has our logits, and answers token for token as the prompt's vectors do here."""
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
