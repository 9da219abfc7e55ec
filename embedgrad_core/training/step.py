"""One gradient step's worth of Eq. 7: the gradient of a batch's summed loss, in micro-batches that fit into memory.

Micro-batches change where memory is spent, never what is computed: the sum of Eq. 6 over the batch is the sum over its
micro-batches, and it is divided once, at the end.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from embedgrad_core.files import UserError
from embedgrad_core.model.attention import keep_plan
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.model.memory import is_out_of_memory, release_memory
from embedgrad_core.model.sizes import TOKEN_BUDGET
from embedgrad_core.objective import Example
from embedgrad_core.training.trainable import Trainable


@dataclass
class MicroBatching:
    """How a batch is cut into micro-batches.

    Attributes:
        token_budget: tokens run together, the prompt included; halved when memory runs out.
        checkpointing: keep only each layer's input for the backward pass and compute the rest again: a third more
            time, and the memory of one layer instead of all.
        log: where to report a halved budget, once for each halving.
        on_items: called with the number of items of each micro-batch that has run.
    """

    token_budget: int = TOKEN_BUDGET
    checkpointing: bool = False
    log: Callable[[str], None] = field(default=lambda line: None, repr=False)
    on_items: Callable[[int], None] = field(default=lambda count: None, repr=False)

    def check(self, shared: int, examples: Sequence[Example]) -> None:
        """Refuse a budget that the longest item exceeds.

        Raises:
            UserError: names the item and the budget that it needs.
        """
        longest = max(examples, key=lambda example: example.length)
        needed = shared + longest.length
        if needed > self.token_budget:
            raise UserError(
                f"token_budget {self.token_budget} is smaller than item {longest.id} with the prompt ({needed} tokens); "
                f"give at least {needed}, or shorten the inputs (in a workflow: input_last_words)."
            )

    def cut(self, shared: int, examples: Sequence[Example]) -> list[list[Example]]:
        """Micro-batches of items of like length, each within the budget (a single item may exceed it)."""
        micro_batches: list[list[Example]] = []
        tokens = 0
        for example in sorted(examples, key=lambda example: example.length):
            if not micro_batches or tokens + example.length > self.token_budget:
                micro_batches.append([])
                tokens = shared
            micro_batches[-1].append(example)
            tokens += example.length
        return micro_batches


def accumulate(trainable: Trainable, examples: Sequence[Example], batching: MicroBatching) -> tuple[float, int]:
    """The summed Eq. 6 over ``examples``; its gradient is added to the leaves' ``grad`` unless gradients are switched off.

    Args:
        trainable: the leaves and the loss.
        examples: the batch.
        batching: how to cut it; its budget is lowered for good when memory runs out.

    Returns:
        The summed loss in nats and the number of target tokens.

    Raises:
        UserError: a single item does not fit into memory.
    """
    frozen = trainable.frozen
    losses: list[torch.Tensor] = []  # looked at in the end: a look makes the host wait for a GPU
    targets = 0
    waiting = batching.cut(trainable.shared, examples)
    while waiting:
        micro_batch = waiting.pop(0)
        try:
            with checkpointed(frozen.network, batching.checkpointing):
                loss, count = trainable.loss(micro_batch)
                # A step may train some of them only; the optimizer does not touch one without a gradient.
                leaves = [leaf for leaf in trainable.leaves.values() if leaf.requires_grad]
                # Not `backward`, which adds to the leaves one by one: where memory runs out half way, none has been added to.
                gradients = torch.autograd.grad(loss, leaves) if loss.requires_grad else ()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            loss = None
            waiting = [*_smaller(micro_batch, batching, frozen), *waiting]
            continue
        for leaf, gradient in zip(leaves, gradients, strict=False):
            leaf.grad = gradient.clone() if leaf.grad is None else leaf.grad.add_(gradient)
        losses.append(loss.detach())
        targets += count
        batching.on_items(len(micro_batch))
    return sum(torch.stack(losses).tolist()) if losses else 0.0, targets


def _smaller(micro_batch: list[Example], batching: MicroBatching, frozen: FrozenModel) -> list[list[Example]]:
    """What to try instead of a micro-batch that did not fit."""
    release_memory(frozen.device)
    if len(micro_batch) > 1:
        batching.token_budget = max(1, min(batching.token_budget, sum(example.length for example in micro_batch)) // 2)
        batching.log(
            f"out of memory: going on with at most {batching.token_budget} tokens at a time; results are the same"
        )
        half = len(micro_batch) // 2
        return [micro_batch[:half], micro_batch[half:]]
    if torch.is_grad_enabled() and not batching.checkpointing:
        batching.checkpointing = True
        batching.log("out of memory with a single item: going on with activation checkpointing; results are the same")
        return [micro_batch]
    raise UserError(
        f"item {micro_batch[0].id}: out of memory with this item alone ({micro_batch[0].length} tokens); shorten the inputs "
        "(in a workflow: input_last_words), or use a larger GPU or a smaller model."
    )


@contextmanager
def checkpointed(network: PreTrainedModel, wanted: bool) -> Iterator[None]:
    """Within the block the layers keep only their inputs for the backward pass.

    transformers checkpoints a layer only in training mode, so the layers' own flag is set, and theirs alone: no dropout
    wakes up in the modules inside.
    """
    layers = (
        [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)] if wanted else []
    )
    if wanted and not layers:
        raise UserError(f"{type(network).__name__} has no layers that can be checkpointed; leave checkpointing off.")

    def again(function: Callable, *arguments: torch.Tensor) -> torch.Tensor:
        return checkpoint(keep_plan(network, function), *arguments, use_reentrant=False)

    for layer in layers:
        layer.training, layer.gradient_checkpointing = True, True
        layer._gradient_checkpointing_func = again
    try:
        yield
    finally:
        for layer in layers:
            layer.training, layer.gradient_checkpointing = False, False
