"""The logit lens (nostalgebraist 2020, "interpreting GPT: the logit lens"): what each layer would say next, if it were the last.

The final norm and the unembedding are applied to the hidden states after every block. At the last layer that is the model's own
next-token distribution. An early layer may be nearer to its input token than to any prediction; the lens is a view, no measurement.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from embedgrad_core.files import UserError
from embedgrad_core.lat import hidden_states
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.prompt import PromptEmbedding

# What architectures call the norm before their unembedding.
_NORMS = ("norm", "final_layernorm", "ln_f", "final_layer_norm", "norm_f")


@dataclass(frozen=True)
class Seen:
    """The likeliest next token at k positions, seen from some layers.

    Attributes:
        token: (layers, k) int64, its id.
        p: (layers, k) float32, its probability.
    """

    token: torch.Tensor
    p: torch.Tensor


@torch.no_grad()
def lens_logits(frozen: FrozenModel, states: torch.Tensor, *, last: bool) -> torch.Tensor:
    """Next-token logits of hidden states (k, d): (k, V) float32 on the model's device.

    Args:
        frozen: the frozen model.
        states: after a block.
        last: whether they are the model's own last hidden states, which have the final norm applied already.

    Raises:
        UserError: the architecture calls its final norm something else.
    """
    base, head = frozen.network.base_model, frozen.network.get_output_embeddings()
    norm = next((found for name in _NORMS if isinstance(found := getattr(base, name, None), torch.nn.Module)), None)
    if norm is None:
        raise UserError(f"{type(frozen.network).__name__}: no final norm was found, which the logit lens needs.")
    at = next(head.parameters())
    states = states.to(at.device, at.dtype)
    logits = head(states if last else norm(states)).float()
    cap = getattr(frozen.network.config.get_text_config(), "final_logit_softcapping", None)
    return torch.tanh(logits / cap) * cap if cap else logits


@torch.no_grad()
def seen_from(frozen: FrozenModel, prompt: PromptEmbedding, vectors: torch.Tensor, layers: Sequence[int]) -> Seen:
    """What follows each prompt position, seen from each of ``layers``; the body cannot be seen from there.

    Args:
        frozen: the frozen model.
        prompt: where the vectors sit.
        vectors: (k, d), the prompt's own or its initial ones.
        layers: block numbers from 1 to :func:`depth`.
    """
    slot = prompt.slot
    head = frozen.embed(torch.tensor(slot.head_ids, dtype=torch.long))
    states = hidden_states(frozen, embeds=torch.cat([head, vectors.to(head.device, head.dtype)]))[
        :, len(slot.head_ids) :
    ]
    last = len(states) - 1
    found = [lens_logits(frozen, states[layer], last=layer == last).softmax(dim=-1).max(dim=-1) for layer in layers]
    return Seen(torch.stack([one.indices.cpu() for one in found]), torch.stack([one.values.cpu() for one in found]))


def depth(frozen: FrozenModel) -> int:
    """Blocks of the model."""
    return int(frozen.network.config.get_text_config().num_hidden_layers)


def some_layers(blocks: int, most: int) -> list[int]:
    """At most ``most`` block numbers, evenly spaced, the last one among them and the first where there is room."""
    if blocks <= most:
        return list(range(1, blocks + 1))
    if most == 1:
        return [blocks]
    return sorted({1 + round(place * (blocks - 1) / (most - 1)) for place in range(most)})
