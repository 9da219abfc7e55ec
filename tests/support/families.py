"""Tiny models of architectures beside Qwen2 and Llama, and a prompt that has moved."""

import torch
from tiny import spread
from transformers import AutoConfig, AutoModelForCausalLM

from embedgrad_core import FrozenModel, PromptEmbedding, Slot

FAMILIES = {
    "mistral": {"sliding_window": 8},
    "qwen2": {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 0},
    "qwen3": {"head_dim": 8},
    "gemma": {"head_dim": 8},  # scales what it feeds its first layer
    "gemma2": {"head_dim": 8, "sliding_window": 8, "final_logit_softcapping": None, "attn_logit_softcapping": 2.0},
    "gemma3_text": {"head_dim": 8, "sliding_window": 8},
    "phi": {},
    "gpt2": {"n_positions": 256},  # absolute positions, no Linear but Conv1D
}


def model_of(family, tokenizer, **changes):
    shape = {
        "vocab_size": len(tokenizer) + 5,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if family == "gpt2":
        shape |= {"n_embd": 32, "n_layer": 2, "n_head": 4}
        shape = {key: shape[key] for key in shape if not key.startswith(("hidden", "num_", "max_", "intermediate"))}
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **shape, **changes))
    spread(network)
    network.requires_grad_(False).eval()
    if family == "gemma2":
        network.set_attn_implementation("eager")  # the oracle's: transformers' sdpa leaves the cap on scores out
    return FrozenModel(network, tokenizer, f"tiny-{family}", "main", "sha256:tiny")


def moved(frozen, layout):
    prompt = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, layout, "please reason step by step."))
    noise = torch.randn(prompt.vectors.shape, generator=torch.Generator().manual_seed(3))
    prompt.vectors = prompt.vectors + 0.3 * prompt.vectors.norm(dim=1, keepdim=True) * torch.nn.functional.normalize(
        noise, dim=1
    )
    return prompt
