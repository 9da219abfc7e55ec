"""Seconds of answering rows that share lanes: what the decoders do (:mod:`embedgrad_core.decoding`), as a sum.

A queue is what one call decodes: a level's block, or all prompts at once. Its lanes are full while rows wait; then they empty until
the longest row has ended, which is taken to be one at the token limit, begun last. A step reads all weights, however few rows are
left, so that a queue of fewer rows than lanes takes as many steps as its longest row has tokens.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from embedgrad.planning.gpus import Machine
from embedgrad.planning.work import Work
from embedgrad_core.model.costs import Shape
from embedgrad_core.model.sizes import OWN, PIECE, ROUND

# On a GPU, empty lanes are given up by halves: at most half of those that run are empty, and 2 ln 2 run for each row on average.
HALVED = 1.4
# Seconds in which a queue's steps are captured as CUDA graphs: some 15 pairs of shapes, two steps each without. An assumption.
CAPTURED = 0.6


@dataclass(frozen=True)
class Queue:
    """Rows of one call.

    Attributes:
        rows: how many.
        before: tokens before each input that a step reads beside them: the prompt, worked examples.
        own: whether each row's prompt is read by itself, not once for all.
    """

    rows: int
    before: int
    own: bool = False


def blocks(items: float, work: Work, block: int | None) -> list[int]:
    """Rows of the blocks that a decoding of so many items is cut into, level by level."""
    found = []
    for share in work.levels:
        left = round(items * share)
        while left > 0:
            found.append(min(left, block or left))
            left -= found[-1]
    return found


def one_by_one(parts: Iterable[float], work: Work, block: int | None) -> list[Queue]:
    """Decodings of so many items each, in blocks that do not meet."""
    return [Queue(rows, work.prompt) for items in parts for rows in blocks(items, work, block)]


def at_once(rows: float, work: Work, before: int | None = None) -> list[Queue]:
    """Prompts answered together; ``before`` tokens where a prompt is too long for each row to have its own."""
    longer = before is not None and before > OWN
    whole, rest = divmod(round(rows), PIECE)
    pieces = [PIECE] * whole + [rest] * (rest > 0)
    return [Queue(piece, before if longer and before else work.prompt, own=not longer) for piece in pieces]


def steps(queue: Queue, work: Work, lanes: int) -> tuple[float, float]:
    """Steps of a queue, and the tokens of them that rows wait behind: lanes are full then."""
    full = max(0, queue.rows - lanes) * work.answer
    return full / lanes + work.longest, full


def decoding_seconds(
    shape: Shape, work: Work, queues: Iterable[Queue], lanes: int, width: int, machine: Machine
) -> float:
    """Seconds of answering: the greater of arithmetic and of reading weights and cache, and reading the inputs."""
    spent = 0.0
    for queue in queues:
        taken, full = steps(queue, work, min(lanes, queue.rows))
        tokens = queue.rows * work.answer
        idle, rounded = (HALVED, ROUND // 2) if machine.is_gpu else (1.0, 0)
        computed = full + (tokens - full) * idle
        seen = shape.cache_bytes(queue.before + work.input + work.answer // 2 + rounded, width)
        reading = (taken * shape.bytes_a_decoding_step(width) + computed * seen) / machine.read
        arithmetic = shape.read_flops(round(computed), round(computed)) / machine.flops
        inputs = queue.rows * (work.input + queue.before * queue.own)
        spent += max(arithmetic, reading) + shape.read_flops(inputs, queue.rows) / machine.flops
        spent += CAPTURED * machine.is_gpu
    return spent
