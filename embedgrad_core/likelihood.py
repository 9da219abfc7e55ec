"""What the frozen model would say if it could only choose: log-likelihoods of given continuations, nothing is generated.

Separates "knows the answer" from "says a label": a prompt that never makes the model write a label may still make the
right one likelier than the others (Brown et al. 2020, Section 2.4, choose among given answers the same way).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch

from embedgrad_core.decoding.greedy import entropy_bits
from embedgrad_core.layout import Slot
from embedgrad_core.model.branches import Branches
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.model.sizes import CHUNK
from embedgrad_core.objective import Example, chunked_logits, hidden_states, target_hidden
from embedgrad_core.training.step import MicroBatching


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

    An input is read once, whatever the number of continuations; behind it stand only those that branch off within themselves:
    labels of one token each add none.

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
    asked = [_Asked(slot.body_ids(text), row) for text, row in zip(inputs, tokens, strict=True)]
    before = len(slot.head_ids) + slot.k
    sizes = [Example(str(place), one.body, [0, *chain.from_iterable(one.tails)]) for place, one in enumerate(asked)]
    found = torch.zeros(len(inputs), len(continuations), dtype=torch.float64)
    done = 0
    for micro_batch in (batching or MicroBatching()).cut(before, sizes):
        places = [int(one.id) for one in micro_batch]
        some = [asked[place] for place in places]
        rest, read, wanted = _laid_out(before, some)
        pack = Branches(before, [len(one.body) for one in some], [list(map(len, one.tails)) for one in some])
        hidden = hidden_states(frozen, slot, vectors, rest, pack, read)
        row, token, place, column = wanted
        place = torch.tensor(places)[place]
        for start, logits in zip(range(0, len(read), CHUNK), chunked_logits(frozen, hidden), strict=True):
            own = (row >= start) & (row < start + CHUNK)
            values = logits.log_softmax(dim=1)[row[own] - start, token[own]].double().cpu()
            found.index_put_((place[own], column[own]), values, accumulate=True)
        done += len(micro_batch)
        on_progress(done)
    return found, torch.tensor([[len(ids) for ids in row] for row in tokens])


@torch.inference_mode()
def token_log_likelihoods(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    examples: Sequence[Example],
    batching: MicroBatching | None = None,
) -> list[list[float]]:
    """Log-likelihood in nats of each target token, given all before it.

    Args:
        slot, vectors: what stands before each body; (0, d) vectors and a slot without tokens where nothing does.
        examples: what is given, and what is read; a body may be empty where something stands before it.
        batching: how many tokens run together, and what to call for each item done.

    Returns:
        One list per example, in their order.
    """
    found: dict[int, list[float]] = {}
    batching = batching or MicroBatching()
    numbered = [Example(str(place), one.body, one.target) for place, one in enumerate(examples)]
    for micro_batch in batching.cut(len(slot.head_ids) + len(vectors), numbered):
        hidden = target_hidden(frozen, slot, vectors, micro_batch)
        chances = [logits.log_softmax(dim=1) for logits in chunked_logits(frozen, hidden)]
        targets = torch.tensor([token for one in micro_batch for token in one.target], device=hidden.device)
        sizes = [len(some) for some in chances]
        read = [some.gather(1, ids[:, None])[:, 0] for some, ids in zip(chances, targets.split(sizes), strict=True)]
        parts = torch.cat(read).split([len(one.target) for one in micro_batch])
        found |= {int(one.id): part.tolist() for one, part in zip(micro_batch, parts, strict=True)}
        batching.on_items(len(micro_batch))
    return [found[place] for place in range(len(examples))]


class _Asked:
    """An input as token ids, its continuations, and what has to stand behind it to read them.

    ``groups``: continuations that one branch serves. ``tails``: of each group the longest, without its last token, which predicts
    nothing that is asked for.
    """

    def __init__(self, body: list[int], continuations: Sequence[list[int]]) -> None:
        self.body, self.continuations = body, continuations
        self.groups = _runs(continuations)
        self.tails = [continuations[group[0]][:-1] for group in self.groups]


def _laid_out(before: int, asked: Sequence[_Asked]) -> tuple[list[int], list[int], torch.Tensor]:
    """Token ids behind the prompt; the places to read, ``before`` being the first token's; and (4, W) what is read there.

    A column of the last: which of the places read, a token that follows there, and of which input's which continuation it is.
    """
    rest: list[int] = []
    read: list[int] = []
    wanted = []
    for number, one in enumerate(asked):
        rest += one.body
        # The token before a continuation predicts its first token; with an empty body that is the prompt's last vector.
        first = len(read)
        read.append(before + (len(rest) if one.body else 0) - 1)
        for group, tail in zip(one.groups, one.tails, strict=True):
            along = [first, *range(len(read), len(read) + len(tail))]
            read += range(before + len(rest), before + len(rest) + len(tail))
            rest += tail
            wanted += [
                (row, token, number, column)
                for column in group
                for row, token in zip(along, one.continuations[column], strict=False)
            ]
    return rest, read, torch.tensor(wanted).T


def _runs(row: Sequence[Sequence[int]]) -> list[list[int]]:
    """Which continuations one branch serves: the first of each group is read, the others branch off at their last token at most."""
    groups: list[list[int]] = []
    for place in sorted(range(len(row)), key=lambda place: -len(row[place])):
        stem = row[place][:-1]
        group = next((group for group in groups if list(row[group[0]][: len(stem)]) == list(stem)), None)
        if group is None:
            groups.append([place])
        else:
            group.append(place)
    return groups


@dataclass(frozen=True)
class TargetReading:
    """What the model makes of one item's target.

    Attributes:
        loss: Eq. 6, nats, summed over the target's tokens.
        entropy_bits: Eq. 11, the mean over them.
        written: whether each token is the likeliest where it stands, so that greedy decoding would write just this target.
    """

    loss: float
    entropy_bits: float
    written: bool


@torch.inference_mode()
def target_readings(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    examples: Sequence[Example],
    batching: MicroBatching | None = None,
) -> list[TargetReading]:
    """Read every item's target once, teacher-forced; nothing is generated.

    Args:
        vectors: (k, d) prompt vectors.
        examples: encoded items, the end token in the target if they are trained with it.
        batching: how many tokens run together, and what to call for each item done.

    Returns:
        One reading per item, in their order.
    """
    found: dict[int, TargetReading] = {}
    places = {id(example): place for place, example in enumerate(examples)}
    batching = batching or MicroBatching()
    for micro_batch in batching.cut(len(slot.head_ids) + slot.k, examples):
        hidden = target_hidden(frozen, slot, vectors, micro_batch)
        for example, states in zip(micro_batch, hidden.split([len(one.target) for one in micro_batch]), strict=True):
            loss, bits, written = 0.0, 0.0, True
            targets = torch.tensor(example.target, device=states.device)
            for logits, ids in zip(chunked_logits(frozen, states), targets.split(CHUNK), strict=True):
                loss -= float(logits.log_softmax(dim=1).gather(1, ids[:, None]).double().sum())
                bits += float(entropy_bits(logits).double().sum())
                written = written and bool((logits.argmax(dim=1) == ids).all())
            found[places[id(example)]] = TargetReading(loss, bits / len(example.target), written)
        batching.on_items(len(micro_batch))
    return [found[place] for place in range(len(examples))]
