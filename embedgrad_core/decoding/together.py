"""Answers behind several prompts at once: a lane that one prompt's rows leave empty is taken by the next prompt's.

A decoding takes at least as many steps as its longest answer has tokens, and that is the token limit as soon as one row runs into
it. Prompt by prompt, level by level and block by block, a GPU spends most of its steps on a few such rows, and a step reads all
weights, for one row as for two hundred. On a CPU a step costs what its rows cost, and a prompt that rows share is read once, so
nothing is gained.

Who stands beside whom is another matter than what is answered: in half precision a tie of two tokens may fall the other way. What
is compared item by item, before and after, is decoded by :func:`embedgrad_core.decode`, block by block, beside the same rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from embedgrad_core.decoding.answers import Decoded, check_lengths, to_decoded
from embedgrad_core.decoding.graphed import Workspace
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.decoding.kept_rows import KeptRows, kept_or_answered
from embedgrad_core.decoding.rows import Row, Whole
from embedgrad_core.decoding.settings import Decoding
from embedgrad_core.files import Item, in_order
from embedgrad_core.layout import Layout, Slot
from embedgrad_core.model.attention import check_attention
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.model.kernels import packed_weights
from embedgrad_core.model.sizes import OWN, PIECE
from embedgrad_core.prompt import vectors_sha256

# What a row is for: a prompt's place among those asked, and an item; and its body.
_Line = tuple[int, Item, Any]


@dataclass(frozen=True)
class Asked:
    """Items behind one prompt.

    Attributes:
        slot: where the prompt sits.
        vectors: (k, d) prompt vectors.
        items: what to answer.
        stop_ids: token ids that end an answer.
    """

    slot: Slot
    vectors: torch.Tensor
    items: Sequence[Item]
    stop_ids: Sequence[int]

    @property
    def key(self) -> tuple:
        """What decides an answer, but for the item."""
        return tuple(self.slot.head_ids), vectors_sha256(self.vectors), tuple(sorted(self.stop_ids))

    def check(self, frozen: FrozenModel, decoding: Decoding) -> None:
        """Refuse items that leave no room for their answers.

        Raises:
            UserError: names the item.
        """
        for item in self.items:
            check_lengths(frozen, self.slot, [item], {item.id: self.slot.body_ids(item.input)}, decoding.max_new_tokens)


def gains(frozen: FrozenModel, decoding: Decoding) -> bool:
    """Whether a step costs much the same for few rows as for many: on one GPU, by the native engine without a penalty."""
    on_gpu = frozen.device.type == "cuda" and not frozen.is_divided
    return on_gpu and decoding.engine == "native" and decoding.repetition_penalty is None


def decode_together(
    frozen: FrozenModel,
    asked: Sequence[Asked],
    decoding: Decoding,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
    on_step: Callable[[float], None] = lambda begun: None,
    log: Callable[[str], None] = lambda line: None,
    kept: KeptRows | None = None,
    graphed: bool | None = None,
) -> list[list[tuple[Item, Row]]]:
    """The answers of each as token ids, its items in the order of :func:`embedgrad_core.files.in_order`.

    Args:
        asked: prompts and their items.
        decoding: limit and rows at a time, of the native engine; neither blocks nor levels are kept apart.
        on_progress: called with the number of answers done so far, those of all prompts.
        on_step: as of :func:`embedgrad_core.decode`.
        log: where to report that memory ran out and fewer rows run at a time.
        kept: what was answered before, and where new answers are kept.
        graphed: as of :func:`embedgrad_core.decoding.greedy.greedy`.

    Raises:
        UserError: an input and the token limit do not fit the context, naming the item.
    """
    check_attention(frozen.network)
    found: list[list[tuple[Item, Row]]] = [[] for _ in asked]
    short: list[_Line] = []
    long: list[tuple[Asked, list[_Line]]] = []
    for place, one in enumerate(asked):
        one.check(frozen, decoding)
        head = frozen.embed(torch.tensor(one.slot.head_ids, dtype=torch.long))
        shared = torch.cat([head, one.vectors.to(head.device, head.dtype)])
        lines = [(place, item, one.slot.body_ids(item.input)) for level in in_order(one.items) for item in level]
        if len(shared) <= OWN:
            short += [(place, item, Whole(shared, ids, one.stop_ids)) for place, item, ids in lines]
        else:
            long.append((one, lines))
    empty = Slot(frozen.tokenizer, Layout(separator=""), "", (), ())
    nothing = Asked(empty, torch.zeros(0, frozen.width), (), ())
    pieces = [
        (one, lines[start : start + PIECE])
        for one, lines in [(nothing, short), *long]
        for start in range(0, len(lines), PIECE)
    ]
    done = 0

    def count(row: Row) -> None:
        nonlocal done
        done += 1
        on_progress(done)

    batch = frozen.rows_in_flight(decoding.batch_size, decoding.max_new_tokens)
    how: dict[str, Any] = {"batch_size": batch, "stop_on_loop": decoding.early, "on_end": count, "on_step": on_step}
    how |= {"log": log, "graphed": graphed, "workspace": Workspace()}
    model = [frozen.resolved, str(frozen.dtype), frozen.device.type]
    decides = [*model, "together", decoding.max_new_tokens, str(decoding.early), batch]
    with packed_weights(frozen.network):
        for one, lines in pieces:
            named = [
                (f"{asked[place].key} {item.id}", asked[place].slot.body_ids(item.input)) for place, item, _ in lines
            ]
            bodies = [body for _, _, body in lines]
            most = decoding.max_new_tokens
            answer = partial(greedy, frozen, one.slot, one.vectors, bodies, most, one.stop_ids, **how)
            rows = kept_or_answered(kept, [*decides, one.key], named, answer, count)
            for (place, item, _), row in zip(lines, rows, strict=True):
                found[place].append((item, row))
    return found


def answers_together(
    frozen: FrozenModel,
    slot: Slot,
    each: Sequence[torch.Tensor],
    items: Sequence[Item],
    decoding: Decoding,
    **callbacks: Any,
) -> list[list[Decoded]]:
    """The answers behind each of these (k, d) vectors in one slot; the rest is :func:`decode_together`'s."""
    ends = frozen.stop_ids(decoding.stop_rule)
    found = decode_together(frozen, [Asked(slot, vectors, items, ends) for vectors in each], decoding, **callbacks)
    return [[to_decoded(frozen, item, row, ends, decoding.loop) for item, row in rows] for rows in found]
