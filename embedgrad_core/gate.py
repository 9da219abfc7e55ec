"""The step-0 gate: before anything is optimised, the embeddings path must be the text path.

Checked on real items: the ids of head + prompt + body equal the tokenizer's reading of the whole text; the logits of
the embeddings path equal those of the token path; and the loss of the objective equals the loss from the model's own
logits, which catches architectures that scale or cap their logits after the head.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from embedgrad_core.files import Item, UserError
from embedgrad_core.model.attention import check_attention
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.objective import encode, target_loss
from embedgrad_core.prompt import PromptEmbedding

# Relative to the largest logit. Both paths run the same kernels on the same numbers, so the room is for kernels that
# choose another order of summation by shape.
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
LOW_PRECISION_TOLERANCE = 3e-2


@dataclass(frozen=True)
class GateResult:
    """What the gate saw; stored with the prompt.

    ``seams`` counts items whose text the tokenizer would merge across the prompt's edge: for them the prompt's own
    tokens are kept and the rest is read apart.
    """

    items: int
    seams: int
    max_logit_difference: float
    loss_difference: float


@torch.no_grad()
def check_step_zero(frozen: FrozenModel, prompt: PromptEmbedding, items: Sequence[Item], probes: int = 3) -> GateResult:
    """Compare embeddings path and text path at step 0.

    ``seams`` is counted over all items, logits and loss are compared on the first ``probes`` of them.

    Raises:
        UserError: the two paths differ; nothing has been written yet.
    """
    check_attention(frozen.network)
    slot = prompt.slot
    seams = sum(not slot.is_seamless(item.input) for item in items)
    worst_logit = worst_loss = 0.0
    tolerance = TOLERANCE.get(frozen.dtype, LOW_PRECISION_TOLERANCE)
    for example in encode(slot, items[:probes], frozen.context):
        before = [*slot.head_ids, *slot.prompt_ids, *example.body]
        ids = torch.tensor([before + example.target[:-1]], device=frozen.device)
        by_ids = frozen.network(input_ids=ids).logits[0].float()
        embeds = frozen.embed(ids).clone()
        start = len(slot.head_ids)
        embeds[0, start : start + slot.k] = prompt.initial.to(frozen.device, frozen.dtype)
        scale = float(by_ids.abs().max())
        by_embeds = frozen.network(inputs_embeds=embeds).logits[0].float()
        # In place: a whole item's logits over a large vocabulary are most of what a small model's job holds.
        worst_logit = max(worst_logit, float(by_embeds.sub_(by_ids).abs_().max()) / scale)
        del by_embeds
        wanted = torch.tensor(example.target, device=frozen.device)
        expected = torch.nn.functional.cross_entropy(by_ids[len(before) - 1 :], wanted, reduction="sum")
        ours, _ = target_loss(frozen, slot, prompt.initial, [example])
        worst_loss = max(
            worst_loss, float((ours.to(expected.device) - expected).abs() / expected.abs().clamp_min(1e-6))
        )
    if not worst_logit <= tolerance:
        raise UserError(
            f"step-0 gate: {frozen.name} gives other logits for the prompt's embeddings than for its tokens "
            f"(relative difference {worst_logit:.2g}, allowed {tolerance:g}); this architecture cannot be used."
        )
    if not worst_loss <= max(tolerance, 1e-4):
        raise UserError(
            f"step-0 gate: the loss of {frozen.name} differs from its own logits' by {worst_loss:.2g}; the "
            "architecture changes logits after its output layer and cannot be used."
        )
    return GateResult(len(items), seams, worst_logit, worst_loss)
