"""Eq. 11 on a given text: the entropies that a prompt would have had at each step of an answer it did not choose."""

from collections.abc import Sequence

import torch

from embedgrad_core import kernels
from embedgrad_core.greedy import entropy_bits
from embedgrad_core.layout import Slot
from embedgrad_core.model import FrozenModel
from embedgrad_core.objective import CHUNK, Example, target_hidden
from embedgrad_core.step import Pieces


@torch.inference_mode()
def forced_entropies(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    bodies: Sequence[list[int]],
    answers: Sequence[list[int]],
    pieces: Pieces | None = None,
) -> list[list[float]]:
    """Entropy in bits of the next-token distribution before each token of ``answers``, teacher-forced.

    Args:
        frozen: the frozen model.
        slot: where the prompt sits.
        vectors: (k, d) prompt vectors.
        bodies: token ids after the prompt.
        answers: token ids of each answer, its end token included if it has one.
        pieces: how many tokens run together.

    Returns:
        For each answer one entropy a token, from raw logits over the full vocabulary.
    """
    found: dict[str, list[float]] = {str(row): [] for row in range(len(answers))}
    examples = [
        Example(str(row), body, ids) for row, (body, ids) in enumerate(zip(bodies, answers, strict=True)) if ids
    ]
    head = frozen.network.get_output_embeddings()
    for piece in (pieces or Pieces()).cut(len(slot.head_ids) + slot.k, examples):
        hidden = target_hidden(frozen, slot, vectors, piece)
        parts = [
            entropy_bits(kernels.linear(hidden[start : start + CHUNK], head.weight, head.bias).float())
            for start in range(0, len(hidden), CHUNK)
        ]
        for example, bits in zip(piece, torch.cat(parts).split([len(e.target) for e in piece]), strict=True):
            found[example.id] = bits.tolist()
    return list(found.values())
