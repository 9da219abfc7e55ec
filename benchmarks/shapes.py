"""True configurations with random weights, and the three workloads: speed needs no trained weights."""

import random
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, Qwen2Config

from embedgrad_core import FrozenModel, Layout, Slot
from embedgrad_core.model.kernels import freeze_linears
from embedgrad_core.objective import Example

# https://huggingface.co/Qwen: config.json of Qwen2.5-0.5B, -1.5B, -7B and -14B.
SHAPES = {
    "small": {  # for a look at whether a benchmark runs at all
        "hidden_size": 64,
        "intermediate_size": 128,
        "layers": 2,
        "heads": 4,
        "groups": 2,
        "vocabulary": 151936,
    },
    "qwen2.5-0.5b": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "layers": 24,
        "heads": 14,
        "groups": 2,
        "vocabulary": 151936,
    },
    "qwen2.5-1.5b": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "layers": 28,
        "heads": 12,
        "groups": 2,
        "vocabulary": 151936,
    },
    "qwen2.5-7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "layers": 28,
        "heads": 28,
        "groups": 4,
        "vocabulary": 152064,
    },
    "qwen2.5-14b": {
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "layers": 48,
        "heads": 40,
        "groups": 8,
        "vocabulary": 152064,
    },
}


TRUE_SHAPES = tuple(name for name in SHAPES if name != "small")


@dataclass(frozen=True)
class Workload:
    """Lengths of a task's items: tokens in and target tokens, both uniform between two bounds, and the prompt's k."""

    name: str
    body: tuple[int, int]
    target: tuple[int, int]
    k: int

    def batches(self, count: int, size: int, seed: int = 0) -> list[list[Example]]:
        """Batches of random items."""
        chance = random.Random(seed)

        def ids(bounds: tuple[int, int]) -> list[int]:
            return [chance.randrange(1000, 150_000) for _ in range(chance.randint(*bounds))]

        return [[Example(str(row), ids(self.body), ids(self.target)) for row in range(size)] for _ in range(count)]


WORKLOADS = [
    Workload("maths", (30, 120), (60, 350), 18),
    Workload("imdb", (120, 420), (2, 2), 20),
    Workload("medd", (8, 30), (2, 2), 48),
]


def build(shape: str, layers: int | None, device: str, dtype: torch.dtype) -> tuple[PreTrainedModel, FrozenModel]:
    """The plain network as a peer uses it, and ours over the very same weights."""
    size = SHAPES[shape]
    config = Qwen2Config(
        vocab_size=size["vocabulary"],
        hidden_size=size["hidden_size"],
        intermediate_size=size["intermediate_size"],
        num_hidden_layers=layers or size["layers"],
        num_attention_heads=size["heads"],
        num_key_value_heads=size["groups"],
        max_position_embeddings=32_768,
        rope_theta=1e6,
        tie_word_embeddings=shape in ("qwen2.5-0.5b", "qwen2.5-1.5b"),
        dtype=dtype,
    )
    torch.manual_seed(0)
    with torch.device(device):
        plain = AutoModelForCausalLM.from_config(config, dtype=dtype).eval().requires_grad_(False)
    with torch.device("meta"):
        ours = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    # One set of weights, two networks: the peer's stay plain, ours multiply through oneDNN.
    ours.load_state_dict(plain.state_dict(keep_vars=True), assign=True)
    ours.model.rotary_emb = plain.model.rotary_emb
    ours.tie_weights()
    ours.requires_grad_(False)
    freeze_linears(ours)
    return plain, FrozenModel(ours, None, f"random {shape}", "main", "random")


def slot_of(k: int) -> Slot:
    """A bare slot of k tokens; the text itself plays no part here."""
    return Slot(None, Layout(), "", (), tuple(range(1000, 1000 + k)))
