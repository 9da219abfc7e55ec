"""Answer items greedily: one interface, two engines.

``native`` is :mod:`~embedgrad_core.decoding.greedy`: always there, exact. ``vllm`` is :mod:`~embedgrad_core.decoding.vllm_engine`:
an extra, faster. "Before" goes through the same embeddings path as "after".
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from embedgrad_core.decoding.graphed import Workspace
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.decoding.kept_rows import KeptRows, kept_or_answered
from embedgrad_core.decoding.rows import Row
from embedgrad_core.decoding.settings import Decoding, LoopRule, is_loop
from embedgrad_core.decoding.written import Written
from embedgrad_core.files import Item, UserError, in_blocks, pack_steps
from embedgrad_core.layout import Slot
from embedgrad_core.model.attention import Past, check_attention
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.model.kernels import packed_weights
from embedgrad_core.objective import check_prompt
from embedgrad_core.prompt import vectors_sha256


@dataclass(frozen=True)
class Decoded:
    """One decoded answer; ``entropy_bits`` is Eq. 11: mean over steps, full vocabulary, raw logits.

    ``stop`` says why it ended: ``eos``, ``length`` (the limit), ``loop_suspect`` (the limit, and the tail repeats), or
    ``loop_stopped`` (ended early because the tail repeats, where that was asked for). ``steps`` has the entropy of each token and
    what it wrote (:func:`embedgrad_core.files.pack_steps`), where they were asked for and can be told.
    """

    id: str
    output: str
    n_tokens: int
    stop: str
    entropy_bits: float
    steps: str | None = None

    def row(self) -> dict:
        """As a JSON line; without ``steps`` where there are none."""
        row = asdict(self)
        return row if self.steps is not None else {key: value for key, value in row.items() if key != "steps"}


def decode(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    items: Sequence[Item],
    decoding: Decoding,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
    on_step: Callable[[float], None] = lambda begun: None,
    log: Callable[[str], None] = lambda line: None,
    kept: KeptRows | None = None,
    past: Past | None = None,
    steps: bool = False,
) -> list[Decoded]:
    """Answer every item greedily.

    Args:
        vectors: (k, d) prompt vectors, optimised or the text's own.
        items: what to answer; returned in the order of :func:`embedgrad_core.files.in_order`.
        decoding: limits, batches, stop and loop rules, engine.
        on_progress: called with the number of items done so far.
        on_step: called on the way (native) with what unfinished answers have of their limits, in items; see
            :func:`embedgrad_core.decoding.greedy.greedy`.
        log: where to report that memory ran out and fewer rows run at a time.
        kept: blocks that were answered before, and where new ones are kept.
        past: keys and values that stand before everything (native engine only).
        steps: whether each answer brings the entropies of its tokens.

    Raises:
        UserError: an input and the token limit do not fit the context, naming the item; an architecture without a usable
            cache; an engine that is not installed.
    """
    stop_ids = frozen.stop_ids(decoding.stop_rule)
    reports: dict[str, Any] = {"on_progress": on_progress, "on_step": on_step, "log": log}
    rows = decode_rows(frozen, slot, vectors, items, decoding, stop_ids, **reports, kept=kept, past=past)
    written = Written(frozen.tokenizer) if steps else None
    return [to_decoded(frozen, item, row, stop_ids, decoding.loop, written) for item, row in rows]


def decode_rows(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    items: Sequence[Item],
    decoding: Decoding,
    stop_ids: Sequence[int],
    *,
    on_progress: Callable[[int], None] = lambda done: None,
    on_step: Callable[[float], None] = lambda begun: None,
    log: Callable[[str], None] = lambda line: None,
    kept: KeptRows | None = None,
    past: Past | None = None,
) -> list[tuple[Item, Row]]:
    """Each item, in the order of :func:`embedgrad_core.files.in_order`, with its answer as token ids.

    ``stop_ids`` end an answer, and are its last token. The other arguments, and what is raised, are :func:`decode`'s.
    """
    limit, batch_size = decoding.max_new_tokens, frozen.rows_in_flight(decoding.batch_size, decoding.max_new_tokens)
    check_attention(frozen.network)
    blocks = in_blocks(items, decoding.block)
    bodies = {item.id: slot.body_ids(item.input) for item in items}
    check_lengths(frozen, slot, items, bodies, limit, len(past) if past else 0)
    if not items:  # a shard of which there was nothing left
        return []
    count = 0

    def count_row(row: Row) -> None:
        nonlocal count
        count += 1
        on_progress(count)

    run: Callable[..., list[Row]]
    weights: AbstractContextManager
    if past and decoding.engine != "native":
        raise UserError(f"engine {decoding.engine}: keys and values before the text need engine native.")
    if decoding.engine == "vllm":
        from embedgrad_core.decoding.vllm_engine import load_vllm, vllm_greedy  # an extra

        if decoding.block is None:  # vLLM has its own batches: all levels at once
            blocks = [[item for level in blocks for item in level]]
        longest = len(slot.head_ids) + slot.k + max(map(len, bodies.values())) + limit
        run = partial(vllm_greedy, llm=load_vllm(frozen, longest, batch_size, decoding.tensor_parallel))
        weights = nullcontext()
    else:
        run = partial(greedy, log=log, on_step=on_step, workspace=Workspace(), past=past)
        if decoding.repetition_penalty is not None:
            run = partial(run, penalty=decoding.repetition_penalty)
        weights = packed_weights(frozen.network)
    run = partial(run, batch_size=batch_size, stop_on_loop=decoding.early, on_end=count_row)
    decides: list = []
    if kept:
        model = [frozen.resolved, str(frozen.dtype), frozen.device.type]
        decides = [*model, decoding.engine, slot.head_ids, vectors_sha256(vectors)]
        decides += [limit, sorted(stop_ids), decoding.early and asdict(decoding.early), batch_size]
        decides += [vectors_sha256(torch.stack([past.keys, past.values]))] if past else []
        penalty = decoding.repetition_penalty
        decides += [] if penalty is None else [{"repetition_penalty": penalty, "prompt_ids": slot.prompt_ids}]
    found: list[tuple[Item, Row]] = []
    with weights:
        for some in blocks:
            own = [bodies[item.id] for item in some]
            block = [(item.id, body) for item, body in zip(some, own, strict=True)]
            answer = partial(run, frozen, slot, vectors, own, limit, stop_ids)
            found += zip(some, kept_or_answered(kept, decides, block, answer, count_row), strict=True)
    return found


def check_lengths(
    frozen: FrozenModel,
    slot: Slot,
    items: Sequence[Item],
    bodies: dict[str, list[int]],
    max_new_tokens: int,
    before: int = 0,
) -> None:
    """Refuse items that leave no room for their answers; ``before`` positions stand before everything.

    Raises:
        UserError: names the item.
    """
    for item in items:
        needed = before + len(slot.head_ids) + slot.k + len(bodies[item.id]) + max_new_tokens
        if needed > frozen.context:
            check_prompt(slot, frozen.context)
            raise UserError(
                f"{item.name}: prompt, input and {max_new_tokens} new tokens need {needed} positions, the model has "
                f"{frozen.context}; lower max_new_tokens or shorten the input (in a workflow: input_last_words)."
            )


def to_decoded(
    frozen: FrozenModel,
    item: Item,
    row: Row,
    stop_ids: Sequence[int],
    loop: LoopRule,
    written: Written | None = None,
) -> Decoded:
    """A finished row as text, with the reason why it ended; with the entropies of its tokens if ``written`` places them."""
    ended = bool(row.ids) and row.ids[-1] in stop_ids
    text = frozen.tokenizer.decode(row.ids[:-1] if ended else row.ids, skip_special_tokens=True)
    at_limit = "loop_suspect" if is_loop(row.ids, loop) else "length"
    stop = "loop_stopped" if row.looped else "eos" if ended else at_limit
    # The end token is a step as any other, and writes nothing.
    characters = written.characters(row.ids[:-1] if ended else row.ids, text) if written else None
    steps = None if characters is None else pack_steps([*characters, *([0] if ended else [])], row.bits)
    return Decoded(item.id, text, len(row.ids), stop, row.entropy, steps)
