"""Tokens, memory, seconds and disk of each cell: arithmetic from the model's shape, the task's sizes and a machine's rates.

A forecast, not a measurement: answers may be half or twice as long as assumed, and tiny models spend their time outside of
the arithmetic. The formulas stand in :mod:`embedgrad_core.costs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from embedgrad.config import Config
from embedgrad.planning.access import Access
from embedgrad.planning.machines import Machine
from embedgrad.planning.work import Work, work_of
from embedgrad_core.costs import Shape
from embedgrad_core.objective import CHUNK
from embedgrad_core.step import TOKEN_BUDGET

# Decodings of the test half, in test halves: before, the ladder's rungs and the two layouts of protocol recovery once a
# (task, model) …
RUNGS, LAYOUTS = 4, 2
SHARED_DECODINGS = 1 + RUNGS + LAYOUTS
# … and after once a cell; the round trip and its controls answer dev six times.
DEV_DECODINGS = 6
START = 6.0  # seconds in which a job imports torch and transformers
JOBS = 3  # jobs of a cell that load the model: optimize, after, analyse
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
RESIDENT = 10**9  # bytes of Python, torch and transformers themselves

# config.json of each model on https://huggingface.co, by its size in 10^9 parameters, for models that are not at hand.
KNOWN = {
    0.135: Shape(30, 576, 1536, 9, 3, 64, 49_152, tied=True),  # SmolLM2-135M
    0.362: Shape(32, 960, 2560, 15, 5, 64, 49_152, tied=True),  # SmolLM2-360M
    0.494: Shape(24, 896, 4864, 14, 2, 64, 151_936, tied=True),  # Qwen2.5
    1.54: Shape(28, 1536, 8960, 12, 2, 128, 151_936, tied=True),
    3.09: Shape(36, 2048, 11_008, 16, 2, 128, 151_936, tied=True),
    7.62: Shape(28, 3584, 18_944, 28, 4, 128, 152_064, tied=False),
    8.03: Shape(32, 4096, 14_336, 32, 8, 128, 128_256, tied=False),  # Llama-3.1
    14.77: Shape(48, 5120, 13_824, 40, 8, 128, 152_064, tied=False),
    70.55: Shape(80, 8192, 28_672, 64, 8, 128, 128_256, tied=False),  # Llama-3.1-70B
}


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
    return access.shape or KNOWN[min(KNOWN, key=lambda size: abs(size - parameters / 1e9))]


def forecast(config: Config, access: Mapping[str, Access], machine: Machine) -> list[CellForecast]:
    """Each selected cell for one seed, in the order of the table."""
    rows, shared = [], set()
    for cell in config.cells:
        spec = config.values["models"][cell.model]
        shape = shape_of(spec["parameters"], access[cell.model])
        task = config.values["tasks"][cell.task]
        work = work_of(cell.task, task, config.values["split"], cell.level)
        whole = work_of(cell.task, task, config.values["split"], None)
        first = (cell.task, cell.model) not in shared
        shared.add((cell.task, cell.model))
        width = BYTES.get(spec["dtype"], machine.bytes_each)
        items = work.test + DEV_DECODINGS * work.dev + (SHARED_DECODINGS * whole.test if first else 0)
        batch = config.values["decode"].get("batch_size", 16)
        memory = _memory(shape, work, batch, width, config.values["optimize"])
        own = work.input + work.target
        epochs = int(cell.epochs)
        train_tokens = epochs * work.train * own
        rows.append(
            CellForecast(
                cell=f"{cell.dataset}/{cell.model}",
                train_tokens=train_tokens,
                decode_tokens=items * work.answer,
                memory=memory,
                train_seconds=START + epochs * epoch_flops(shape, work, config.values["optimize"]) / machine.flops,
                decode_seconds=(JOBS - 1) * START + decoding_seconds(shape, work, items, batch, width, machine),
                # Text of about 5 bytes a token beside a bit more for entropies, once as answered and once as graded.
                disk=items * work.answer * 20 + work.prompt * shape.width * 4,
                fits=memory <= machine.memory,
            )
        )
    return rows


def epoch_flops(shape: Shape, work: Work, settings: Mapping) -> float:
    """One pass over train, forward and backward, and the check on dev; the prompt runs once a batch."""
    shared = work.prompt / settings.get("batch_size", 8)
    own = work.input + work.target
    step = shape.step_flops(work.train * (own + shared), work.train * work.target)
    if settings.get("checkpointing"):
        step *= 1.5
    return step + shape.read_flops(work.dev * own, work.dev * work.target)


def decoding_seconds(shape: Shape, work: Work, items: int, batch: int, width: int, machine: Machine) -> float:
    """Seconds of answering: the greater of arithmetic and of reading weights and cache, and reading the inputs."""
    tokens = items * work.answer
    arithmetic = shape.read_flops(tokens, tokens) / machine.flops
    cache = shape.cache_bytes(batch * (work.prompt + work.input + work.answer // 2), width)
    steps = tokens / max(1, min(batch, items))
    reading = steps * (shape.bytes_a_decoding_step(width) + cache) / machine.read
    return max(arithmetic, reading) + shape.read_flops(items * work.input, items) / machine.flops


def _memory(shape: Shape, work: Work, batch: int, width: int, settings: Mapping) -> int:
    """Bytes of the larger of an optimisation step and a decoding."""
    budget = settings.get("token_budget", TOKEN_BUDGET)
    tokens = min(budget, work.prompt + settings.get("batch_size", 8) * (work.input + work.target))
    chunk = shape.head_chunk_bytes(min(CHUNK, settings.get("batch_size", 8) * work.target), width)
    step = shape.activation_bytes(tokens, width, settings.get("checkpointing", False)) + chunk
    # On a CPU in fp32 the weights are packed a second time while answers are decoded.
    answering = shape.cache_bytes(batch * work.longest, width) + (shape.weight_bytes(width) if width == 4 else 0)
    return RESIDENT + shape.weight_bytes(width) + max(step, answering)
