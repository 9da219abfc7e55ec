"""Answer items greedily: one interface, two engines.

``native`` is :mod:`~embedgrad_core.decoding.greedy`: always there, exact. ``vllm`` is :mod:`~embedgrad_core.decoding.vllm_engine`:
an extra, faster. "Before" goes through the same embeddings path as "after".
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch

from embedgrad_core.decoding.graphed import Workspace
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.decoding.loops import LoopRule, is_loop
from embedgrad_core.decoding.rows import Row
from embedgrad_core.files import Item, UserError, in_blocks
from embedgrad_core.layout import Slot
from embedgrad_core.model.attention import check_attention
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.model.kernels import packed_weights
from embedgrad_core.model.sizes import AUTO
from embedgrad_core.objective import check_prompt
from embedgrad_core.prompt import vectors_sha256

ENGINES = ("native", "vllm")
# Settings of decoding that are whole numbers.
NUMBERS = ("max_new_tokens", "batch_size", "block", "stop_on_loop")


@dataclass(frozen=True)
class Decoded:
    """One decoded answer; ``entropy_bits`` is Eq. 11: mean over steps, full vocabulary, raw logits.

    ``stop`` says why it ended: ``eos``, ``length`` (the limit), ``loop_suspect`` (the limit, and the tail repeats), or
    ``loop_stopped`` (ended early because the tail repeats, where that was asked for).
    """

    id: str
    output: str
    n_tokens: int
    stop: str
    entropy_bits: float

    def row(self) -> dict:
        """As a JSON line."""
        return asdict(self)


def decode(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    items: Sequence[Item],
    *,
    max_new_tokens: int,
    batch_size: int | str = 16,
    block: int | None = None,
    stop_rule: str = "family",
    loop: LoopRule | None = None,
    stop_on_loop: int | None = None,
    engine: str = "native",
    tensor_parallel: int | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
    on_step: Callable[[float], None] = lambda begun: None,
    say: Callable[[str], None] = lambda line: None,
    kept: KeptRows | None = None,
) -> list[Decoded]:
    """Answer every item greedily.

    Args:
        frozen: the frozen model.
        slot: where the prompt sits.
        vectors: (k, d) prompt vectors, optimised or the text's own.
        items: what to answer; returned in the order of :func:`embedgrad_core.files.in_order`.
        max_new_tokens: token limit of an answer.
        batch_size: rows decoded at a time; ``auto``: :meth:`~embedgrad_core.FrozenModel.rows_in_flight`.
        block: items that are answered by themselves, so that their batches never depend on other items; None: a level.
        stop_rule: see :meth:`~embedgrad_core.FrozenModel.stop_ids`.
        loop: when a truncated answer counts as a loop; the default rule if None.
        stop_on_loop: end an answer once its tail has repeated so many times; None never does.
        engine: ``native`` or ``vllm``.
        tensor_parallel: cards that vLLM shares every product over; None is one.
        on_progress: called with the number of items done so far.
        on_step: called on the way (native) with what unfinished answers have of their limits, in items; see
            :func:`embedgrad_core.decoding.greedy.greedy`.
        say: where to report that memory ran out and fewer rows run at a time.
        kept: blocks that were answered before, and where new ones are kept.

    Raises:
        UserError: an input and ``max_new_tokens`` do not fit the context, naming the item; an architecture without a
            usable cache; an unknown engine, or one that is not installed; a limit or a batch size below 1.
    """
    check_settings(stop_on_loop=stop_on_loop)
    loop = loop or LoopRule()
    stop_ids = frozen.stop_ids(stop_rule)
    rows = decode_rows(
        frozen,
        slot,
        vectors,
        items,
        stop_ids,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        block=block,
        early=LoopRule(stop_on_loop, loop.tokens) if stop_on_loop else None,
        engine=engine,
        tensor_parallel=tensor_parallel,
        on_progress=on_progress,
        on_step=on_step,
        say=say,
        kept=kept,
    )
    return [to_decoded(frozen, item, row, stop_ids, loop) for item, row in rows]


def decode_rows(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    items: Sequence[Item],
    stop_ids: Sequence[int],
    *,
    max_new_tokens: int,
    batch_size: int | str,
    block: int | None,
    early: LoopRule | None,
    engine: str = "native",
    tensor_parallel: int | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
    on_step: Callable[[float], None] = lambda begun: None,
    say: Callable[[str], None] = lambda line: None,
    kept: KeptRows | None = None,
) -> list[tuple[Item, Row]]:
    """Each item, in the order of :func:`embedgrad_core.files.in_order`, with its answer as token ids.

    Args:
        stop_ids: end an answer, and are its last token.
        early: end an answer once its tail repeats so; None never does.

    The others, and what is raised, are :func:`decode`'s.
    """
    check_settings(max_new_tokens=max_new_tokens, batch_size=batch_size, block=block, engine=engine)
    if tensor_parallel is not None and (engine != "vllm" or tensor_parallel < 1):
        raise UserError(f"tensor_parallel {tensor_parallel} is the vllm engine's, and at least 1; leave it out.")
    batch_size = frozen.rows_in_flight(batch_size, max_new_tokens)
    check_attention(frozen.network)
    blocks = in_blocks(items, block)
    bodies = {item.id: slot.body_ids(item.input) for item in items}
    check_lengths(frozen, slot, items, bodies, max_new_tokens)
    if not items:  # a shard of which there was nothing left
        return []
    count = 0

    def count_row(row: Row) -> None:
        nonlocal count
        count += 1
        on_progress(count)

    settings = {"batch_size": batch_size, "stop_on_loop": early, "on_end": count_row}
    if engine == "vllm":
        from embedgrad_core.decoding.vllm_engine import load_vllm, vllm_greedy  # an extra

        if block is None:  # vLLM has its own batches: all levels at once
            blocks = [[item for level in blocks for item in level]]
        longest = len(slot.head_ids) + slot.k + max(map(len, bodies.values())) + max_new_tokens
        settings["llm"] = load_vllm(frozen, longest, batch_size, tensor_parallel)
        run, weights = vllm_greedy, nullcontext()
    else:
        run, weights = greedy, packed_weights(frozen.network)
        settings |= {"say": say, "on_step": on_step, "workspace": Workspace()}
    decides: list = []
    if kept:
        decides = [
            frozen.resolved,
            str(frozen.dtype),
            frozen.device.type,
            engine,
            slot.head_ids,
            vectors_sha256(vectors),
        ]
        decides += [max_new_tokens, sorted(stop_ids), early and asdict(early), batch_size]
    found: list[tuple[Item, Row]] = []
    with weights:
        for some in blocks:
            own = [bodies[item.id] for item in some]
            key = kept and kept.key(decides, [(item.id, body) for item, body in zip(some, own, strict=True)])
            rows = kept and kept.find(key)
            if rows:
                for row in rows:
                    count_row(row)
            else:
                rows = run(frozen, slot, vectors, own, max_new_tokens, stop_ids, **settings)
                if kept:
                    kept.add(key, rows)
            found += zip(some, rows, strict=True)
    return found


def check_settings(*, engine: str = "native", **numbers: int | str | None) -> None:
    """Refuse settings that no decoding can have; None stands for a number that was not given, and a batch size may be ``auto``.

    Raises:
        UserError: an unknown engine, or a number below 1.
    """
    if engine not in ENGINES:
        raise UserError(f"engine is {engine!r}; it must be one of {', '.join(ENGINES)}.")
    for name, number in numbers.items():
        if number == AUTO and name.endswith("batch_size"):
            continue
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise UserError(f"{name} is {number!r}; it must be a whole number of at least 1.")


def check_decoding(decoding: Mapping[str, Any]) -> None:
    """The same for the keyword arguments of :func:`decode` that are to be kept for later; None stands for one that was not given.

    Raises:
        UserError: names the setting.
    """
    engine = decoding.get("engine")
    check_settings(**{key: decoding.get(key) for key in NUMBERS}, engine="native" if engine is None else engine)


def check_lengths(
    frozen: FrozenModel, slot: Slot, items: Sequence[Item], bodies: dict[str, list[int]], max_new_tokens: int
) -> None:
    """Refuse items that leave no room for their answers.

    Raises:
        UserError: names the item.
    """
    for item in items:
        needed = len(slot.head_ids) + slot.k + len(bodies[item.id]) + max_new_tokens
        if needed > frozen.context:
            check_prompt(slot, frozen.context)
            raise UserError(
                f"{item.told}: prompt, input and {max_new_tokens} new tokens need {needed} positions, the model has "
                f"{frozen.context}; lower max_new_tokens or shorten the input (in a workflow: input_last_words)."
            )


def to_decoded(frozen: FrozenModel, item: Item, row: Row, stop_ids: Sequence[int], loop: LoopRule) -> Decoded:
    """A finished row as text, with the reason why it ended."""
    ended = bool(row.ids) and row.ids[-1] in stop_ids
    text = frozen.tokenizer.decode(row.ids[:-1] if ended else row.ids, skip_special_tokens=True)
    at_limit = "loop_suspect" if is_loop(row.ids, loop) else "length"
    stop = "loop_stopped" if row.looped else "eos" if ended else at_limit
    return Decoded(item.id, text, len(row.ids), stop, row.entropy)
