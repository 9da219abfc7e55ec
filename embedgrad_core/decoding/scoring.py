"""Eq. 11 on a given text: the entropies that a prompt would have had at each step of an answer it did not choose."""

from collections.abc import Callable, Sequence

import torch

from embedgrad_core.decoding.greedy import entropy_bits
from embedgrad_core.layout import Slot
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.objective import Example, chunked_logits, target_hidden
from embedgrad_core.prompt import PromptEmbedding
from embedgrad_core.training.step import MicroBatching


@torch.inference_mode()
def forced_entropies(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    bodies: Sequence[list[int]],
    answers: Sequence[list[int]],
    batching: MicroBatching | None = None,
) -> list[list[float]]:
    """Entropy in bits of the next-token distribution before each token of ``answers``, teacher-forced.

    Args:
        vectors: (k, d) prompt vectors.
        bodies: token ids after the prompt.
        answers: token ids of each answer, its end token included if it has one.
        batching: how many tokens run together, and what to call for each item done.

    Returns:
        For each answer one entropy per token, from raw logits over the full vocabulary.
    """
    found: dict[str, list[float]] = {str(row): [] for row in range(len(answers))}
    examples = [
        Example(str(row), body, ids) for row, (body, ids) in enumerate(zip(bodies, answers, strict=True)) if ids
    ]
    batching = batching or MicroBatching()
    for micro_batch in batching.cut(len(slot.head_ids) + slot.k, examples):
        hidden = target_hidden(frozen, slot, vectors, micro_batch)
        entropies = torch.cat([entropy_bits(logits) for logits in chunked_logits(frozen, hidden)])
        for example, bits in zip(micro_batch, entropies.split([len(e.target) for e in micro_batch]), strict=True):
            found[example.id] = bits.tolist()
        batching.on_items(len(micro_batch))
    return list(found.values())


def read_answer(frozen: FrozenModel, text: str, stop: str) -> list[int]:
    """Token ids of a written answer, with the end token where it ended by one."""
    ids = frozen.tokenizer(text, add_special_tokens=False)["input_ids"]
    end = frozen.tokenizer.eos_token_id
    return [*ids, end] if stop == "eos" and end is not None else ids


def entropy_change(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    identities: Sequence[str],
    bodies: Sequence[list[int]],
    before: Sequence[list[int]],
    after: Sequence[list[int]],
    draws: int = 2000,
    on_items: Callable[[int], None] = lambda count: None,
) -> dict:
    """Mean entropy of both answers of each item under both prompts, and the exact split of the change.

    With H(prompt, text) the mean over an answer's steps, the change H(after, after) − H(before, before) is the sum of
    ``prompt`` (other prompt, same text) and ``text`` (other text, same prompt), each averaged over both orders.

    Args:
        prompt: its ``initial`` vectors are the text prompt, its ``vectors`` the optimised one.
        identities: of the items.
        bodies: token ids after the prompt.
        before: token ids of the text prompt's answers.
        after: token ids of the optimised prompt's answers.
        draws: of the bootstrap over items (seed 0), for the 95 % percentile intervals.
        on_items: called with the number of answers just read, of the four for each item that is kept.

    Returns:
        ``items`` (entropies in bits; items with an empty answer are left out) and ``summary``.
    """
    kept = [row for row in range(len(identities)) if before[row] and after[row]]
    found = {}
    for by, vectors in (("before", prompt.initial), ("after", prompt.vectors)):
        for text, answers in (("before", before), ("after", after)):
            entropies = forced_entropies(
                frozen,
                prompt.slot,
                vectors,
                [bodies[row] for row in kept],
                [answers[row] for row in kept],
                MicroBatching(on_items=on_items),
            )
            found[by, text] = torch.tensor([sum(bits) / len(bits) for bits in entropies], dtype=torch.float64)
    parts = {
        "total": found["after", "after"] - found["before", "before"],
        "prompt": (found["after", "after"] - found["before", "after"]) / 2
        + (found["after", "before"] - found["before", "before"]) / 2,
        "text": (found["after", "after"] - found["after", "before"]) / 2
        + (found["before", "after"] - found["before", "before"]) / 2,
    }
    summary: dict = {"n": len(kept), "left_out": len(identities) - len(kept)}
    for name, values in parts.items():
        summary[name] = _interval(values, draws) if kept else {"mean": None, "low": None, "high": None}
    names = {pair: f"{pair[0]}_prompt_{pair[1]}_text" for pair in found}
    rows = [
        {"id": identities[row], **{names[pair]: float(found[pair][place]) for pair in found}}
        for place, row in enumerate(kept)
    ]
    return {"items": rows, "summary": summary}


def _interval(values: torch.Tensor, draws: int) -> dict:
    """Mean with the percentile interval of a bootstrap over items."""
    drawn = torch.randint(len(values), (draws, len(values)), generator=torch.Generator().manual_seed(0))
    low, high = values[drawn].mean(dim=1).quantile(torch.tensor([0.025, 0.975], dtype=values.dtype)).tolist()
    return {"mean": float(values.mean()), "low": low, "high": high}
