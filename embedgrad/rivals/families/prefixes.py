"""Prefix-Tuning (Li and Liang 2021), P-Tuning v2 (Liu et al. 2022), and a prefix that starts as the prompt's own keys and values.

Learned keys and values of every layer stand before the whole sequence; they go through the core's own attention
(:class:`~embedgrad_core.model.attention.Past`), in training and in answering. The first two keep the human prompt as text behind
them. The third is EmbedGrad's idea one level deeper: it starts as what the model computes of template and prompt, which then need
not be read again, so that it starts as the text prompt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from embedgrad.rivals.families.method import Begun, Served, drawn, relative_drift
from embedgrad.rivals.rival import Rival
from embedgrad_core import FrozenModel, PromptEmbedding, Slot
from embedgrad_core.files import Item, UserError
from embedgrad_core.model.attention import Past
from embedgrad_core.objective import Example, target_loss
from embedgrad_core.training.trainable import Trainable

# Leaves, how keys and values come out of them, and the slot that stands behind.
Parts = tuple[dict[str, torch.Tensor], Callable[[Mapping[str, torch.Tensor]], Past], Slot]


@dataclass(frozen=True)
class Behind(Slot):
    """A slot whose head and prompt are in the past already: what is run begins at the input.

    Attributes:
        whole: the slot with head and prompt.
    """

    whole: Slot | None = None

    @classmethod
    def of(cls, slot: Slot) -> "Behind":
        """The slot behind the keys and values of ``slot``'s head and prompt."""
        return cls(slot.tokenizer, slot.layout, slot.text, (), (), slot)

    def body_ids(self, input_text: str) -> list[int]:
        """As the whole slot has them."""
        assert self.whole is not None
        if not (ids := self.whole.body_ids(input_text)):
            raise UserError("a prefix from text needs inputs of at least one token; this layout gives an empty one.")
        return ids


def begin(frozen: FrozenModel, slot: Slot, rival: Rival, train: Sequence[Item], seed: int, steps: int) -> Begun:
    """See :class:`~embedgrad.rivals.families.method.Family`. A projection (MLP) is trained and only what comes out of it stored."""
    from_text = rival.settings["start"] == "text"
    if from_text:
        leaves, read, own = _from_text(frozen, slot)
    else:
        leaves, read, own = _from_encoder(frozen, slot, rival, seed)
    vectors = PromptEmbedding.from_text(frozen, slot).initial.to(frozen.device)
    if from_text:
        vectors = vectors[:0]

    def loss(examples: Sequence[Example]) -> tuple[torch.Tensor, int]:
        return target_loss(frozen, own, vectors, examples, read(leaves))

    def store(best: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            past = read(best)
        return {"keys": past.keys.float().cpu().contiguous(), "values": past.values.float().cpu().contiguous()}

    shared = (
        len(own.head_ids)
        + len(vectors)
        + (slot.k + len(slot.head_ids) if from_text else rival.settings["length"] or slot.k)
    )
    identity = (rival.name, dict(rival.settings), seed, slot.header(), slot.prompt_ids)
    return Begun(Trainable(frozen, leaves, shared, loss, relative_drift(leaves), identity), own, store, from_text)


def serve(frozen: FrozenModel, slot: Slot, rival: Rival, tensors: Mapping[str, torch.Tensor]) -> Served:
    """The stored keys and values before head and prompt, or in their stead."""
    past = Past(*(tensors[name].to(frozen.device, frozen.dtype) for name in ("keys", "values")))
    vectors = PromptEmbedding.from_text(frozen, slot).initial
    if rival.settings["start"] == "text":
        return Served(Behind.of(slot), vectors[:0], past, len(slot.head_ids))
    return Served(slot, vectors, past)


def _shape(frozen: FrozenModel) -> tuple[int, int, int]:
    """Layers, heads that hold keys, and their width."""
    config = frozen.network.config.get_text_config()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return config.num_hidden_layers, getattr(config, "num_key_value_heads", None) or heads, width


def _from_encoder(frozen: FrozenModel, slot: Slot, rival: Rival, seed: int) -> Parts:
    """PEFT's encoder, with or without a projection; as in PEFT, it is as wide as the heads that hold keys."""
    from peft import PrefixTuningConfig
    from peft.tuners.prefix_tuning import PrefixEncoder

    layers, heads, width = _shape(frozen)
    length = rival.settings["length"] or slot.k
    config = PrefixTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=length,
        token_dim=heads * width,
        num_layers=layers,
        num_attention_heads=heads,
        num_transformer_submodules=1,
        prefix_projection=rival.settings["projection"] > 0,
        encoder_hidden_size=rival.settings["projection"] or heads * width,
    )
    with drawn(seed):
        encoder: torch.nn.Module = PrefixEncoder(config).to(frozen.device)  # type: ignore[no-untyped-call]
    places = torch.arange(length, device=frozen.device)

    def read(leaves: Mapping[str, torch.Tensor]) -> Past:
        flat = torch.func.functional_call(encoder, dict(leaves), (places[None],))[0]
        # (P, layers · 2 · G · D), the key of a layer before its value, as PEFT lays them out.
        own = flat.view(length, layers, 2, heads, width).permute(2, 1, 3, 0, 4).to(frozen.dtype)
        return Past(own[0], own[1])

    return dict(encoder.named_parameters()), read, slot


@torch.no_grad()
def _from_text(frozen: FrozenModel, slot: Slot) -> Parts:
    """What the model itself computes of head and prompt."""
    ids = torch.tensor([[*slot.head_ids, *slot.prompt_ids]], device=frozen.device)
    cache = frozen.network(input_ids=ids, use_cache=True).past_key_values
    keys = torch.stack([layer.keys[0] for layer in cache.layers]).float().requires_grad_()
    values = torch.stack([layer.values[0] for layer in cache.layers]).float().requires_grad_()

    def read(leaves: Mapping[str, torch.Tensor]) -> Past:
        return Past(leaves["keys"].to(frozen.dtype), leaves["values"].to(frozen.dtype))

    return {"keys": keys, "values": values}, read, Behind.of(slot)
