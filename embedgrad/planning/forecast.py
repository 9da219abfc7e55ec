"""Tokens, memory, seconds and disk of each cell: arithmetic from the model's shape, the task's sizes and a machine's rates.

A forecast, not a measurement: answers may be half or twice as long as assumed, and tiny models spend their time outside of
the arithmetic. The formulas stand in :mod:`embedgrad_core.costs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedgrad.planning.access import Access
from embedgrad.planning.demand import (
    answer_demand,
    answer_on_cpu,
    bytes_a_card,
    known_shape,
    step_demand,
    step_on_cpu,
)
from embedgrad.planning.resources import WIDTHS, Resources
from embedgrad.planning.work import Work, work_of
from embedgrad_core.costs import Shape

if TYPE_CHECKING:
    from embedgrad.config import Config
    from embedgrad.planning.machines import Machine

# Decodings of the test half, in test halves: before, the ladder's rungs and the two layouts of protocol recovery once a
# (task, model) …
RUNGS, LAYOUTS = 4, 2
SHARED_DECODINGS = 1 + RUNGS + LAYOUTS
# … and after once a cell; the round trip and its controls answer dev six times.
DEV_DECODINGS = 6
START = 6.0  # seconds in which a job imports torch and transformers
JOBS = 3  # jobs of a cell that load the model: optimize, after, analyse


@dataclass(frozen=True)
class CellForecast:
    """What one cell and seed takes.

    Attributes:
        cell: data set/model.
        train_tokens: tokens run forward and backward, all epochs.
        decode_tokens: tokens answered.
        memory: bytes of its largest job.
        train_seconds: of the optimisation.
        decode_seconds: of all its decodings.
        disk: bytes of its results.
        fits: whether the largest job fits into the machine.
    """

    cell: str
    train_tokens: int
    decode_tokens: int
    memory: int
    train_seconds: float
    decode_seconds: float
    disk: int
    fits: bool


def shape_of(parameters: float, access: Access) -> Shape:
    """A model's own shape, or that of the known model nearest to it in size."""
    return access.shape or known_shape(parameters)


def forecast(
    config: "Config", access: Mapping[str, Access], machine: "Machine", resources: Resources | None = None
) -> list[CellForecast]:
    """Each selected cell for one seed, in the order of the table.

    ``resources`` knows the named card, if there is one, and so what is computed again for want of memory.
    """
    resources = resources or Resources(config)
    rows, shared = [], set()
    for cell in config.cells:
        spec = config.values["models"][cell.model]
        shape = shape_of(spec["parameters"], access[cell.model])
        task = config.values["tasks"][cell.task]
        work = work_of(cell.task, task, config.values["split"], cell.level)
        whole = work_of(cell.task, task, config.values["split"], None)
        first = (cell.task, cell.model) not in shared
        shared.add((cell.task, cell.model))
        width = WIDTHS.get(spec["dtype"], machine.bytes_each)
        items = work.test + DEV_DECODINGS * work.dev + (SHARED_DECODINGS * whole.test if first else 0)
        batch = config.values["decode"].get("batch_size", 16)
        again = resources.checkpointing(cell.model)
        memory = _memory(shape, work, config.values, width, again, machine.is_card)
        own = work.input + work.target
        epochs = int(cell.epochs)
        train_tokens = epochs * work.train * own
        rows.append(
            CellForecast(
                cell=f"{cell.dataset}/{cell.model}",
                train_tokens=train_tokens,
                decode_tokens=items * work.answer,
                memory=memory,
                train_seconds=START
                + epochs * epoch_flops(shape, work, config.values["optimize"], again) / machine.flops,
                decode_seconds=(JOBS - 1) * START + decoding_seconds(shape, work, items, batch, width, machine),
                # Text of about 5 bytes a token beside a bit more for entropies, once as answered and once as graded.
                disk=items * work.answer * 20 + work.prompt * shape.width * 4,
                fits=memory <= machine.memory,
            )
        )
    return rows


def epoch_flops(shape: Shape, work: Work, settings: Mapping, checkpointing: bool = False) -> float:
    """One pass over train, forward and backward, and the check on dev; the prompt runs once a batch."""
    shared = work.prompt / settings.get("batch_size", 8)
    own = work.input + work.target
    step = shape.step_flops(work.train * (own + shared), work.train * work.target)
    if checkpointing:
        step *= 1.5
    return step + shape.read_flops(work.dev * own, work.dev * work.target)


def decoding_seconds(shape: Shape, work: Work, items: int, batch: int, width: int, machine: "Machine") -> float:
    """Seconds of answering: the greater of arithmetic and of reading weights and cache, and reading the inputs."""
    tokens = items * work.answer
    arithmetic = shape.read_flops(tokens, tokens) / machine.flops
    cache = shape.cache_bytes(batch * (work.prompt + work.input + work.answer // 2), width)
    steps = tokens / max(1, min(batch, items))
    reading = steps * (shape.bytes_a_decoding_step(width) + cache) / machine.read
    return max(arithmetic, reading) + shape.read_flops(items * work.input, items) / machine.flops


def _memory(shape: Shape, work: Work, values: Mapping, width: int, checkpointing: bool, on_card: bool) -> int:
    """Bytes of the larger of an optimisation and a decoding, on one card or in main memory."""
    optimize, decode = values["optimize"], values["decode"]
    if on_card:
        demands = step_demand(shape, work, optimize, width, checkpointing), answer_demand(shape, work, decode, width)
        return max(bytes_a_card(shape, width, demand) for demand in demands)
    return max(step_on_cpu(shape, work, optimize, width, checkpointing), answer_on_cpu(shape, work, decode, width))
