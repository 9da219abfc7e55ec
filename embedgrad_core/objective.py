"""Eq. 6: cross-entropy on the target tokens, with a gradient to the prompt only.

Nothing is computed twice and nothing on padding: what stands before the inputs (template head and prompt) runs once
for the whole batch, the items follow it end to end, and logits exist for target positions alone and only ``CHUNK`` of
them at a time. Each chunk's loss is turned into the gradient of its hidden states at once: nothing of size (sequence ×
vocabulary) is ever held.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from embedgrad_core.files import Item, UserError
from embedgrad_core.layout import Slot
from embedgrad_core.model import kernels
from embedgrad_core.model.attention import Pack, Past, attending
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.model.sizes import CHUNK

LossOfChunk = Callable[[torch.Tensor, slice, bool], tuple[torch.Tensor, torch.Tensor | None]]


@dataclass(frozen=True)
class Example:
    """One item as token ids: what follows the prompt, then the target."""

    id: str
    body: list[int]
    target: list[int]

    @property
    def length(self) -> int:
        """Tokens that the model reads after the prompt: the last target token predicts nothing."""
        return len(self.body) + len(self.target) - 1


def encode(slot: Slot, items: Sequence[Item], context: int) -> list[Example]:
    """Tokenise items for training.

    Raises:
        UserError: an item does not fit the model's context; names it.
    """
    examples = []
    for item in items:
        example = Example(item.id, slot.body_ids(item.input), slot.target_ids(item))
        length = len(slot.head_ids) + slot.k + len(example.body) + len(example.target)
        if length > context:
            check_prompt(slot, context)
            raise UserError(
                f"{item.name}: {length} tokens with prompt and target, but the model's context is {context}; "
                "shorten the input (in a workflow: input_last_words) or leave it out."
            )
        examples.append(example)
    return examples


def check_prompt(slot: Slot, context: int) -> None:
    """Refuse a prompt that leaves no room for an input and an answer, be they one token each.

    Raises:
        UserError: says what it takes.
    """
    taken = len(slot.head_ids) + slot.k
    if taken + 2 > context:
        raise UserError(
            f"the prompt takes {taken} of the model's {context} positions, which leaves no room for an input and its answer; "
            "shorten the prompt."
        )


def target_loss(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    examples: Sequence[Example],
    past: Past | None = None,
) -> tuple[torch.Tensor, int]:
    """Sum of Eq. 6 over a batch.

    Args:
        frozen: the frozen model, vocabulary V.
        slot: where the prompt sits.
        vectors: (k, d) float32 master copy; the gradient flows to it.
        examples: B encoded items.
        past: keys and values that stand before everything; the gradient flows to them too.

    Returns:
        The summed loss (scalar, float32, nats) and the number of target tokens it runs over.
    """
    hidden = target_hidden(frozen, slot, vectors, examples, past)
    targets = torch.tensor([token for example in examples for token in example.target], device=hidden.device)
    return chunked_loss(frozen, hidden, partial(_cross_entropy, targets)), len(targets)


def target_hidden(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    examples: Sequence[Example],
    past: Past | None = None,
) -> torch.Tensor:
    """(N, d) the model's last hidden states where it predicts the N target tokens of a batch, item by item.

    On the output layer's device, which may be another than the embeddings'.
    """
    prefix = len(slot.head_ids) + len(vectors)
    pack = Pack(prefix, [example.length for example in examples], past)
    rest = [token for example in examples for token in (example.body + example.target)[: example.length]]
    predicts, end = [], prefix
    for example in examples:
        end += example.length
        # The token before the target predicts its first token; with an empty body that is the prompt's last vector.
        first = [] if example.body else [prefix - 1]
        predicts += first + list(range(end - len(example.target) + len(first), end))
    return hidden_states(frozen, slot, vectors, rest, pack, predicts)


def hidden_states(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    rest: Sequence[int],
    pack: Pack,
    read: Sequence[int],
) -> torch.Tensor:
    """(N, d) the model's last hidden states at ``read`` of template head, prompt and what follows them in one pass.

    Args:
        vectors: (k, d) the prompt.
        rest: T token ids, as ``pack`` lays them out behind the prompt.
        pack: which tokens see which.
        read: N places, the head's first token being 0.
    """
    device = frozen.device
    head, after = (torch.tensor(ids, dtype=torch.long) for ids in (slot.head_ids, rest))
    embeds = torch.cat([frozen.embed(head), vectors.to(device, frozen.dtype), frozen.embed(after)])
    with attending(frozen.network, pack):
        output = frozen.network.base_model(
            inputs_embeds=embeds[None], position_ids=pack.positions()[None].to(device), use_cache=False
        )
    states = output.last_hidden_state[0]
    states = states[torch.tensor(read, device=states.device)]
    return states.to(frozen.network.get_output_embeddings().weight.device)


def chunked_logits(frozen: FrozenModel, hidden: torch.Tensor) -> Iterator[torch.Tensor]:
    """Logits (at most ``CHUNK``, V) in float32 of hidden states (N, d), a chunk at a time; without gradient."""
    head = frozen.network.get_output_embeddings()
    for part in hidden.split(CHUNK):
        yield kernels.linear(part, head.weight, head.bias).float()


def chunked_loss(frozen: FrozenModel, hidden: torch.Tensor, loss: LossOfChunk) -> torch.Tensor:
    """A loss of logits summed over hidden states (N, d), head and loss in one pass; the gradient flows to ``hidden`` alone.

    Args:
        loss: logits (C, V), which it may overwrite, which of the N they are, and whether a gradient is wanted → the summed loss
            (scalar), and d loss / d logits (C, V) where one is.
    """
    head = frozen.network.get_output_embeddings()
    return _ChunkedLoss.apply(hidden, head.weight, head.bias, loss)


def _cross_entropy(
    targets: torch.Tensor, logits: torch.Tensor, part: slice, with_slope: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    wanted = targets[part, None]
    normaliser = logits.logsumexp(dim=1, keepdim=True)
    loss = (normaliser - logits.gather(1, wanted)).sum()
    if not with_slope:
        return loss, None
    # d loss / d logits = softmax − one-hot, formed in place of the logits.
    slope = logits.sub_(normaliser).exp_()
    return loss, slope.scatter_add_(1, wanted, torch.full_like(wanted, -1, dtype=slope.dtype))


class _ChunkedLoss(torch.autograd.Function):
    """hidden (N, d), weight (V, d), bias (V) or None. Gradient to ``hidden`` only: the head is frozen."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, loss: LossOfChunk
    ) -> torch.Tensor:
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), CHUNK):
            part = slice(start, start + CHUNK)
            value, slope = loss(kernels.linear(hidden[part], weight, bias).float(), part, gradient is not None)
            total += value
            if gradient is not None and slope is not None:
                gradient[part] = kernels.back(slope.to(weight.dtype), weight)
            del slope  # else a chunk outlives the next one's making
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream.to(gradient.dtype), None, None, None
