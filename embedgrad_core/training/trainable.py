"""What a gradient step changes, and the loss that it lowers: the prompt's vectors here, what a rival method trains elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from embedgrad_core.files import sha256_of_bytes
from embedgrad_core.layout import Slot
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.objective import Example, target_loss
from embedgrad_core.prompt import PromptEmbedding


@dataclass(frozen=True)
class Trainable:
    """Leaves and the loss they enter; all else of the model stays frozen.

    Attributes:
        frozen: the model that the loss runs.
        leaves: the tensors that are trained, float32, by name; the optimizer takes them in this order.
        shared: positions that the items of a micro-batch share (template head, prompt), counted once against the token budget.
        loss: examples → the summed loss of Eq. 6 (scalar, nats) and the number of target tokens.
        drift: how far the leaves are from where they started, relative to their length.
        identity: as JSON: what a resumed run must share besides model, data and settings.
        after_step: called after each step with the number of steps taken so far, epochs before included.
        buffers: the tensors that ``after_step`` keeps from step to step; saved with the leaves, and copied back into.
        on_restore: called when leaves and buffers have been put back.
        may_win: steps taken so far → whether an epoch that ends there may be the best one.
    """

    frozen: FrozenModel
    leaves: Mapping[str, torch.Tensor]
    shared: int
    loss: Callable[[Sequence[Example]], tuple[torch.Tensor, int]]
    drift: Callable[[], float]
    identity: Sequence[object] = ()
    after_step: Callable[[int], None] = lambda steps: None
    buffers: Callable[[], Mapping[str, torch.Tensor]] = dict
    on_restore: Callable[[], None] = lambda: None
    may_win: Callable[[int], bool] = lambda steps: True


def prompt_vectors(
    frozen: FrozenModel, slot: Slot, vectors: torch.Tensor, initial: torch.Tensor | None = None
) -> Trainable:
    """The method of the paper: the (k, d) leaf ``vectors`` in the place of the prompt's embeddings.

    ``drift`` is the mean over positions of their displacement from ``initial``, by default from where they are now.
    """
    start = vectors.detach().cpu().clone() if initial is None else initial

    def drift() -> float:
        return float(PromptEmbedding(vectors.detach().cpu(), start, slot).drift.mean())

    return Trainable(
        frozen,
        {"vectors": vectors},
        len(slot.head_ids) + len(vectors),
        lambda examples: target_loss(frozen, slot, vectors, examples),
        drift,
        (
            slot.header(),
            slot.prompt_ids,
            *(sha256_of_bytes(one.numpy().tobytes()) for one in (vectors.detach().cpu(), start)),
        ),
    )
