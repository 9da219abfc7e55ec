"""What the frozen model would say if it could only choose: log-likelihoods of given continuations, nothing is generated.

Separates "knows the answer" from "says a label": a prompt that never makes the model write a label may still make the
right one likelier than the others (Brown et al. 2020, Section 2.4, choose among given answers the same way).
"""

from collections.abc import Callable, Sequence

import torch

from embedgrad_core.layout import Slot
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.objective import Example, chunked_logits, target_hidden
from embedgrad_core.step import MicroBatching


@torch.inference_mode()
def continuation_log_likelihoods(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    inputs: Sequence[str],
    continuations: Sequence[str],
    batching: MicroBatching | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-likelihood of each continuation after each input; no end token is asked for.

    A model pass gives the distributions along one continuation, so only continuations that branch off within themselves
    need a pass of their own: labels of one token each share a single pass an input.

    Args:
        slot: where the prompt sits; a continuation follows the layout's target prefix.
        vectors: (k, d) prompt vectors.
        inputs: N texts.
        continuations: C texts, each of at least one token.
        batching: how many tokens run together.
        on_progress: called with the number of inputs done so far.

    Returns:
        (N, C) summed log-likelihoods in nats, and (N, C) token counts.

    Raises:
        ValueError: a continuation without tokens.
    """
    prefix = slot.layout.target_prefix
    tokens = [[slot.continuation_ids(text, prefix + one) for one in continuations] for text in inputs]
    if not all(ids for row in tokens for ids in row):
        raise ValueError("a continuation has no tokens")
    examples, readers = [], {}
    for place, (text, row) in enumerate(zip(inputs, tokens, strict=True)):
        body = slot.body_ids(text)
        for run, carried in enumerate(_runs(row)):
            example = Example(f"{place}/{run}", body, row[carried[0]])
            examples.append(example)
            readers[example.id] = (place, carried)
    found = torch.zeros(len(inputs), len(continuations), dtype=torch.float64)
    done = 0
    for micro_batch in (batching or MicroBatching()).cut(len(slot.head_ids) + slot.k, examples):
        hidden = target_hidden(frozen, slot, vectors, micro_batch)
        for example, states in zip(micro_batch, hidden.split([len(one.target) for one in micro_batch]), strict=True):
            place, carried = readers[example.id]
            chances = torch.cat([logits.log_softmax(dim=1) for logits in chunked_logits(frozen, states)])
            for column in carried:
                ids = torch.tensor(tokens[place][column], device=chances.device)
                found[place, column] = chances[: len(ids)].gather(1, ids[:, None]).double().sum().cpu()
        done += len(micro_batch)
        on_progress(done * len(inputs) // len(examples))
    return found, torch.tensor([[len(ids) for ids in row] for row in tokens])


def _runs(row: Sequence[Sequence[int]]) -> list[list[int]]:
    """Which continuations one pass serves: the first of each group is read, the others branch off at their last token at most."""
    groups: list[list[int]] = []
    for place in sorted(range(len(row)), key=lambda place: -len(row[place])):
        stem = row[place][:-1]
        group = next((group for group in groups if list(row[group[0]][: len(stem)]) == list(stem)), None)
        if group is None:
            groups.append([place])
        else:
            group.append(place)
    return groups
