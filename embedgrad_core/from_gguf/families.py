"""The architectures that are read: which metadata they may carry, which tensors of which shape they must have.

Closed tables on purpose. llama.cpp's files can say much that transformers' reader passes over in silence (scaled rotary positions,
sliding windows, experts, biases); here every key of the architecture and every tensor is known, or the file is refused.
"""

import math
from dataclasses import dataclass

import numpy as np

from embedgrad_core.files import UserError
from embedgrad_core.from_gguf.header import Header

FAMILIES = ("llama", "qwen2")
# Keys behind the architecture's name, without which a model would be built from another one's defaults.
_COUNTS = (
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
)
_EPSILON, _BASE = "attention.layer_norm_rms_epsilon", "rope.freq_base"
# Values that say no more than their absence.
_NEUTRAL = {
    "rope.scaling.type": ("none",),
    "rope.scaling.factor": (0.0, 1.0),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "attention.causal": (True,),
}
_DIMENSIONS = ("rope.dimension_count", "attention.key_length", "attention.value_length")
_PARTS = {
    "attn_norm": ("d",),
    "ffn_norm": ("d",),
    "attn_q": ("q", "d"),
    "attn_k": ("kv", "d"),
    "attn_v": ("kv", "d"),
    "attn_output": ("d", "q"),
    "ffn_gate": ("f", "d"),
    "ffn_up": ("f", "d"),
    "ffn_down": ("d", "f"),
}
_BIASES = {"llama": {}, "qwen2": {"attn_q": ("q",), "attn_k": ("kv",), "attn_v": ("kv",)}}
# Llama 3's scaled rotary positions; files hold its factors as a tensor, not these numbers (llama.cpp's convert_hf_to_gguf.py).
ROPE_FACTORS = "rope_freqs.weight"
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


@dataclass(frozen=True)
class Shape:
    """What a file says of its model: sizes as transformers calls them."""

    architecture: str
    layers: int
    vocabulary: int
    head_dim: int
    rope_theta: float


def check_family(header: Header) -> Shape:
    """Check that a file is a whole model of a known architecture and nothing besides.

    Raises:
        UserError: a part of a split model, another architecture, or a key or a tensor that is missing, unknown or misshapen.
    """
    path, data = header.path, header.metadata
    if data.get("split.count", 0) not in (0, 1):
        raise UserError(
            f"{path}: one of {data['split.count']} parts of a split model; join them first: llama-gguf-split --merge."
        )
    architecture = data.get("general.architecture")
    if architecture not in FAMILIES:
        raise UserError(
            f"{path}: architecture {architecture!r} is not read here, only {' and '.join(FAMILIES)}; "
            "take the model's ordinary checkpoint."
        )
    if data.get("general.type", "model") != "model":
        raise UserError(f"{path}: general.type is {data['general.type']!r}, not a model; give the model's own file.")
    for key in data:
        if key.startswith(f"{architecture}."):
            _check_key(header, architecture, key)
    return _check_tensors(header, architecture, _sizes(header, architecture))


def _check_key(header: Header, architecture: str, key: str) -> None:
    name, value = key.removeprefix(f"{architecture}."), header.metadata[key]
    if name in (*_COUNTS, *_DIMENSIONS, _EPSILON, _BASE, "vocab_size") or value in _NEUTRAL.get(name, ()):
        return
    shown = value if isinstance(value, int | float | str) else type(value).__name__
    raise UserError(
        f"{header.path}: {key} = {shown!r} is a property of the model that is not carried over; take its ordinary checkpoint."
    )


def _sizes(header: Header, architecture: str) -> dict[str, int]:
    """The sizes by the letters of the tables."""
    path = header.path

    def count(name: str, default: int | None = None) -> int:
        value = header.metadata.get(f"{architecture}.{name}", default)
        if type(value) is not int or not 0 < value < 2**31:
            raise UserError(f"{path}: {architecture}.{name} is {value!r}, not a size; take a whole copy of the model.")
        return value

    layers, _, width, inner, heads, key_heads = map(count, _COUNTS)
    head = count("attention.key_length", width // heads)
    rotated = count("rope.dimension_count", width // heads)
    if not head == rotated == count("attention.value_length", head) or head % 2 or heads % key_heads:
        raise UserError(
            f"{path}: attention heads of {head} dimensions with {rotated} rotated, {heads} over {key_heads}, are not read here; "
            "take the model's ordinary checkpoint."
        )
    if architecture == "qwen2" and head * heads != width:
        raise UserError(f"{path}: {heads} heads of {head} do not make {width} dimensions, as qwen2 has them.")
    for name, needed in ((_EPSILON, True), (_BASE, False)):
        value = header.metadata.get(f"{architecture}.{name}")
        if (needed or value is not None) and not (type(value) is float and math.isfinite(value) and value > 0):
            raise UserError(f"{path}: {architecture}.{name} is {value!r}; take a whole copy of the model.")
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens:
        raise UserError(f"{path}: holds no vocabulary (tokenizer.ggml.tokens); take a whole copy of the model.")
    if count("vocab_size", len(tokens)) != len(tokens):
        raise UserError(f"{path}: states {count('vocab_size')} tokens and lists {len(tokens)}; take a whole copy.")
    return {
        "layers": layers,
        "v": len(tokens),
        "d": width,
        "f": inner,
        "q": heads * head,
        "kv": key_heads * head,
        "head": head,
    }


def _check_tensors(header: Header, architecture: str, sizes: dict[str, int]) -> Shape:
    path, tensors = header.path, header.tensors
    if sizes["layers"] * len(_PARTS) > len(tensors):  # before a table of as many layers as a forged number says
        raise UserError(f"{path}: states {sizes['layers']} layers and lists {len(tensors)} tensors; take a whole copy.")
    wanted = {"token_embd.weight": ("v", "d"), "output_norm.weight": ("d",)}
    if "output.weight" in tensors:
        wanted["output.weight"] = ("v", "d")
    for layer in range(sizes["layers"]):
        wanted |= {f"blk.{layer}.{name}.weight": letters for name, letters in _PARTS.items()}
        wanted |= {f"blk.{layer}.{name}.bias": letters for name, letters in _BIASES[architecture].items()}
    for name, letters in wanted.items():
        shape = tuple(sizes[letter] for letter in letters)
        if name not in tensors:
            raise UserError(f"{path}: tensor {name} is missing; take a whole copy of the model.")
        if tensors[name].shape != shape:
            raise UserError(
                f"{path}: tensor {name} is {list(tensors[name].shape)}, expected {list(shape)}; take a whole copy."
            )
    allowed = {*wanted, ROPE_FACTORS} if architecture == "llama" else set(wanted)
    if more := sorted(set(tensors) - allowed):
        raise UserError(
            f"{path}: tensor {more[0]} is not part of a plain {architecture} model (such tensors: {len(more)}), and would be lost; "
            "take the model's ordinary checkpoint."
        )
    _check_kinds(header)
    theta = header.metadata.get(f"{architecture}.{_BASE}", 10000.0)
    return Shape(architecture, sizes["layers"], sizes["v"], sizes["head"], theta)


def _check_kinds(header: Header) -> None:
    """Check that gguf can dequantise each kind of tensor, on one block of zeros, before any real one is read."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    for kind in sorted({tensor.kind for tensor in header.tensors.values()}):
        number = GGMLQuantizationType[kind]
        try:
            dequantize(np.zeros((1, GGML_QUANT_SIZES[number][1]), np.uint8), number)
        except NotImplementedError:
            raise UserError(
                f"{header.path}: weights of type {kind} cannot be dequantised by the package gguf; take another quantisation."
            ) from None


def rope_parameters(header: Header, shape: Shape) -> dict:
    """The rotary positions as transformers' configuration has them.

    Llama 3.1 and later stretch them; their files hold one factor for each frequency, and the rule's own numbers are found again
    by computing the factors from them.

    Raises:
        UserError: factors that do not come from Llama 3's rule.
    """
    plain = {"rope_type": "default", "rope_theta": shape.rope_theta}
    if ROPE_FACTORS not in header.tensors:
        return plain
    tensor = header.tensors[ROPE_FACTORS]
    if tensor.kind != "F32" or tensor.shape != (shape.head_dim // 2,):
        raise UserError(
            f"{header.path}: tensor {ROPE_FACTORS} is {tensor.kind} {list(tensor.shape)}; take a whole copy."
        )
    found = np.fromfile(header.path, "<f4", shape.head_dim // 2, offset=tensor.start).astype(np.float64)
    if np.array_equal(found, np.ones_like(found)):
        return plain
    factor = round(float(found.max()), 4) if np.isfinite(found).all() else math.nan
    if factor > 1 and np.allclose(found, llama3_factors(shape.rope_theta, shape.head_dim, factor), rtol=1e-5):
        return plain | {"rope_type": "llama3", "factor": factor} | _LLAMA3
    raise UserError(
        f"{header.path}: its rotary positions are scaled by a rule that is not Llama 3's; take the model's ordinary checkpoint."
    )


def llama3_factors(theta: float, head_dim: int, factor: float) -> np.ndarray:
    """By what Llama 3's rule divides each rotary frequency, shape (head_dim / 2,)."""
    low, high, old = _LLAMA3.values()
    turns = old * theta ** -(np.arange(0, head_dim, 2) / head_dim) / (2 * math.pi)  # within the old context
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / factor + smooth)
