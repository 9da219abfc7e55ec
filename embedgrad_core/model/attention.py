"""Our own attention under a transformers model: sequences without padding, and a cache of fixed lanes, one for each running row.

A model of transformers asks a registered function for its attention. Ours hands the question to the *plan* of the
running forward pass: :class:`Pack` for training, ``KeyValueLanes`` or those of ``static_cache`` for decoding. All else of the
model stays as its authors wrote it (https://huggingface.co/docs/transformers/attention_interface).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, PreTrainedModel

from embedgrad_core.files import UserError

NAME = "embedgrad"
# What a layer's attention may look like (``layer_types`` of a configuration); others keep a state of another kind.
KNOWN_LAYERS = {"full_attention", "sliding_attention"}


class Plan(Protocol):
    """Which tokens of a flat sequence attend to which."""

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: "Options"
    ) -> torch.Tensor:
        """(1, H, T, D), (1, G, T, D), (1, G, T, D) → (T, H, D); H is a multiple of G."""
        ...


@dataclass
class Options:
    """What a layer asks of its attention besides the tensors."""

    scaling: float | None
    window: int | None
    softcap: float | None


_plan: ContextVar[Plan] = ContextVar("plan")


@contextmanager
def attending(network: PreTrainedModel, plan: Plan) -> Iterator[None]:
    """Within the block the network's forward (and backward) passes attend by ``plan``."""
    config = network.config
    before = config._attn_implementation
    token = _plan.set(plan)
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before
        _plan.reset(token)


def keep_plan(network: PreTrainedModel, function: Callable) -> Callable:
    """``function`` as it would run now, also when a backward pass calls it later and from another thread."""
    plan = _plan.get()

    def later(*arguments: Any) -> Any:
        with attending(network, plan):
            return function(*arguments)

    return later


def check_attention(network: PreTrainedModel) -> None:
    """Refuse an architecture whose attention is not transformers' attention interface, before anything is computed.

    Raises:
        UserError: names the architecture and the reason.
    """
    name = type(network).__name__
    if not network._supports_attention_backend:
        raise UserError(f"{name} does not use transformers' attention interface; this architecture cannot be used.")
    text = network.config.get_text_config()
    other = set(getattr(text, "layer_types", None) or KNOWN_LAYERS) - KNOWN_LAYERS
    if other:
        raise UserError(
            f"{name} has layers of kind {', '.join(sorted(other))}, which keep no keys and values that a prompt could "
            "share; this architecture cannot be used."
        )


def _forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    if s_aux is not None or attention_mask is not None:
        raise UserError(f"{type(module).__name__} attends with sinks or a mask of its own; it cannot be used.")
    options = Options(scaling, sliding_window, softcap)
    return _plan.get().attend(module.layer_idx, query, key, value, options)[None], None


AttentionInterface.register(NAME, _forward)


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    options: Options,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Softmax attention: (B, H, L, D), (B, G, S, D), (B, G, S, D) → (B, H, L, D).

    ``mask`` (…, L, S) is True where a query may look; None means causal, and L equals S.
    """
    if mask is None and options.window is not None and query.shape[2] > options.window:
        places = torch.arange(query.shape[2], device=query.device)
        distance = places[:, None] - places
        mask = (distance >= 0) & (distance < options.window)
    groups = query.shape[1] // key.shape[1]
    if options.softcap is not None:
        return _softcapped(query, key, value, options, mask, groups)
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=options.scaling, enable_gqa=groups > 1
    )


def attend_one_each(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, options: Options, mask: torch.Tensor
) -> torch.Tensor:
    """One query per row: (H, R, D), (R, G, S, D), (R, G, S, D) and a mask (R, 1, 1, S) → (R, H, D)."""
    heads, rows, width = query.shape
    groups = keys.shape[1]
    # The query heads that share a key head stand as if they were several queries of one head: nothing is repeated.
    folded = query.transpose(0, 1).reshape(rows, groups, heads // groups, width)
    return attend(folded, keys, values, options, mask).reshape(rows, heads, values.shape[-1])


def visible(newest: torch.Tensor, places: int, window: int | None) -> torch.Tensor:
    """(R, 1, 1, ``places``): which cached places the new token of each row sees, from where it stands (R,)."""
    place, newest = torch.arange(places, device=newest.device), newest[:, None]
    seen = place <= newest
    if window is not None:
        seen &= place > newest - window
    return seen[:, None, None]


def _softcapped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    options: Options,
    mask: torch.Tensor | None,
    groups: int,
) -> torch.Tensor:
    """Attention with ``softcap * tanh(scores / softcap)`` (Gemma 2), which no fused kernel offers."""
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scale = query.shape[-1] ** -0.5 if options.scaling is None else options.scaling
    scores = options.softcap * torch.tanh(query @ key.transpose(2, 3) * scale / options.softcap)
    if mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1, dtype=torch.float32)
    return weights.to(value.dtype) @ value


@dataclass(frozen=True)
class Past:
    """Keys and values that stand before every sequence, as prefix tuning learns them.

    Attributes:
        keys: (layers, G, P, D) in the model's dtype, as the attention sees them: no position is turned into them any more.
        values: the same.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def __len__(self) -> int:
        """P, the positions that it takes."""
        return self.keys.shape[2]


def causal(queries: int, keys: int, window: int | None, device: torch.device) -> torch.Tensor:
    """(queries, keys) mask: the last query sees all keys, each one before it one less."""
    places = torch.arange(keys, device=device)
    distance = places[keys - queries :, None] - places
    return distance >= 0 if window is None else (distance >= 0) & (distance < window)


class Pack:
    """One shared prefix, then sequences that each continue it, laid end to end without padding.

    A token attends to the past, to the prefix and to what stands before it in its own sequence. Only inside the attention itself
    are the sequences padded to the longest; everything else of the model sees real tokens alone.
    """

    def __init__(self, prefix: int, lengths: Sequence[int], past: Past | None = None) -> None:
        self.lengths = [prefix, *lengths]
        self.past = past

    def positions(self) -> torch.Tensor:
        """(T,) place of each token in its own sequence, past and prefix counted in."""
        prefix, *lengths = self.lengths
        own = [torch.arange(prefix), *(torch.arange(prefix, prefix + length) for length in lengths)]
        return torch.cat(own) + (len(self.past) if self.past else 0)

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: Options
    ) -> torch.Tensor:
        """Plan of a forward pass; differentiable."""
        prefix, *lengths = self.lengths
        if len(lengths) <= 1:
            return self._attend(layer, query, key, value, options)[0].transpose(0, 1)
        # Each row repeats the prefix's queries, too: so the mask is plainly causal, which the fused kernels know how to
        # skip. Padding stands at the end, where no real token looks.
        out = self._attend(layer, self._rows(query), self._rows(key), self._rows(value), options).transpose(1, 2)
        return torch.cat([out[0, :prefix], *(row[prefix : prefix + n] for row, n in zip(out, lengths, strict=True))])

    def _attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: Options
    ) -> torch.Tensor:
        """Each row behind the past."""
        mask = None
        if self.past:
            own = (self.past.keys[layer], self.past.values[layer])
            before = (part.to(key.device, key.dtype).expand(len(key), *part.shape) for part in own)
            key, value = (torch.cat(pair, dim=2) for pair in zip(before, (key, value), strict=True))
            mask = causal(query.shape[2], key.shape[2], options.window, query.device)
        return attend(query, key, value, options, mask)

    def _rows(self, flat: torch.Tensor) -> torch.Tensor:
        """(1, H, T, D) → (B, H, prefix + longest, D)."""
        shared, *sequences = flat[0].transpose(0, 1).split(self.lengths)
        padded = pad_sequence(sequences, batch_first=True)
        return torch.cat([shared.expand(len(padded), *shared.shape), padded], dim=1).transpose(1, 2)
