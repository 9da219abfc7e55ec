"""Small GGUF files of a tiny model, written by gguf's own writer."""

from pathlib import Path

import gguf
import numpy as np
import torch
from tiny import TEXTS

from embedgrad_core.files import UserError, parse_json

# Texts that rules of cutting text into words disagree on.
PROBES = [
    *TEXTS,
    "",
    " ",
    "1234567 and 12,5",
    "Isn't it? WE'LL SEE",
    "a\n\n\tb   c \r\n",
    "e\u0301t\u00e9 \u4f60\u597d \U0001f600 \u0663\u00bd",
    "<|im_start|>user\nhi<|im_end|>\n",
    "<tool_call>x</tool_call>",
    "[PAD300] <|im_start",
    "naïve\u200b\u00a0x",
    "snake_case(x) == 0x1F;",
]
# What llama.cpp calls the parts of a layer.
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    """``model.layers.1.mlp.up_proj.weight`` as ``blk.1.ffn_up.weight``."""
    part, ending = name.rsplit(".", 1)
    if part in NAMES:
        return f"{NAMES[part]}.{ending}"
    _, _, layer, rest = part.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}.{ending}"


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key matrix as llama.cpp orders llama's: a head's two halves row by row, (heads · d, columns)."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def rounded(weight: torch.Tensor, kind: str) -> torch.Tensor:
    """What is left of a weight, in float16; vectors are never quantised."""
    if weight.dim() == 1 or kind == "F32":
        return weight.half()
    number = gguf.GGMLQuantizationType[kind]
    return torch.from_numpy(gguf.dequantize(gguf.quantize(weight.float().numpy(), number), number).copy()).half()


def vocabulary(backend: object, rows: int, pre: str) -> dict:
    """The keys of a byte-level BPE vocabulary, padded to the embedding's rows."""
    read = parse_json(backend.to_str())
    tokens = {place: token for token, place in read["model"]["vocab"].items()}
    kinds = dict.fromkeys(tokens, 1)
    for added in read["added_tokens"]:
        tokens[added["id"]], kinds[added["id"]] = added["content"], 3 if added["special"] else 4
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in read["model"]["merges"]]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [tokens.get(place, f"[PAD{place}]") for place in range(rows)],
        "tokenizer.ggml.token_type": [kinds.get(place, 5) for place in range(rows)],
        "tokenizer.ggml.merges": merges,
    }


def keys_of(network: torch.nn.Module, tokenizer: object, pre: str) -> dict:
    """All metadata of a model's file."""
    config = network.config
    family = config.model_type
    return {
        "general.name": "tiny",
        "general.file_type": 7,
        f"{family}.block_count": config.num_hidden_layers,
        f"{family}.context_length": config.max_position_embeddings,
        f"{family}.embedding_length": config.hidden_size,
        f"{family}.feed_forward_length": config.intermediate_size,
        f"{family}.attention.head_count": config.num_attention_heads,
        f"{family}.attention.head_count_kv": config.num_key_value_heads,
        f"{family}.attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        f"{family}.rope.freq_base": float(config.rope_parameters["rope_theta"]),
        **vocabulary(tokenizer.backend_tokenizer, config.vocab_size, pre),
        "tokenizer.ggml.eos_token_id": tokenizer.eos_token_id,
        "tokenizer.ggml.padding_token_id": tokenizer.pad_token_id,
        "tokenizer.chat_template": tokenizer.chat_template,
    }


def write_gguf(
    path: Path,
    network: torch.nn.Module,
    tokenizer: object,
    *,
    kind: str = "Q8_0",
    kinds: dict | None = None,
    pre: str = "smollm",
    keys: dict | None = None,
    tensors: dict | None = None,
) -> Path:
    """Write a model as a GGUF file.

    Args:
        kind: type of the matrices.
        kinds: types of some by their GGUF names.
        keys: metadata in place of the model's own; None leaves a key out.
        tensors: further tensors by their GGUF names, or others in their place, before quantisation; None leaves one out.
    """
    config = network.config
    found = keys_of(network, tokenizer, pre) | (keys or {})
    writer = gguf.GGUFWriter(path, found.pop("general.architecture", config.model_type))
    for key, value in found.items():
        if value is not None:
            _add(writer, key, value)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    weights = {}
    for name, weight in network.state_dict().items():
        array, part = weight.float().numpy(), name.split(".")[-2]
        if config.model_type == "llama" and part in heads:
            array = interleaved(array, heads[part])
        if not (name == "lm_head.weight" and config.tie_word_embeddings):
            weights[gguf_name(name)] = array
    for name, array in (weights | (tensors or {})).items():
        if array is None:
            continue
        number = gguf.GGMLQuantizationType[(kinds or {}).get(name, kind) if array.ndim > 1 else "F32"]
        writer.add_tensor(name, gguf.quantize(np.ascontiguousarray(array, np.float32), number), raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: gguf.GGUFWriter, key: str, value: object) -> None:
    add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    add.get(type(value), writer.add_array)(key, value)


def problem(call: object, *arguments: object) -> str:
    """The one sentence that a call is refused with."""
    try:
        call(*arguments)
    except UserError as error:
        return str(error)
    raise AssertionError("it was taken")
