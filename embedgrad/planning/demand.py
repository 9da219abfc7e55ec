"""The bytes that a job needs, in main memory or on GPUs: the formulas of :mod:`embedgrad_core.model.costs` over a task's sizes.

``embedgrad plan`` and the resources of the workflow's rules both come from here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil

from embedgrad.planning.work import LONGEST, Work
from embedgrad_core.model.costs import LIBRARIES, Shape, process_bytes, tuning_bytes
from embedgrad_core.model.sizes import AUTO, CHUNK, ROWS, TOKEN_BUDGET

# CUDA's context, its libraries' workspaces and the split of its allocator, on each GPU. An assumption: no GPU was at hand.
CONTEXT = 10**9
# Part of a GPU's memory that is planned with.
SPARE = 0.92
WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
# The longest prompt that items are answered after: the ladder's few_shot, with this many worked examples.
# Training items on which protocols are searched, at most: a block of answers tells protocols apart that differ by a few points.
SEARCHED = 256
EXAMPLES = 3
# What vLLM sets aside for keys and values on a CPU (decode_vllm.py), in bytes.
VLLM_CPU_CACHE = 2 * 2**30

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


def known_shape(parameters: float) -> Shape:
    """The known shape nearest in size; where none is within a tenth, with as many layers as the count asks for."""
    near = KNOWN[min(KNOWN, key=lambda size: abs(size - parameters / 1e9))]
    if abs(near.parameters - parameters) <= parameters / 10:
        return near
    layers = near.layers * (parameters - near.parameters + near.body) / near.body
    return replace(near, layers=max(1, round(layers)))


@dataclass(frozen=True)
class Demand:
    """What a job needs above its weights.

    Attributes:
        spread: bytes that follow the layers and are split with them: kept activations or the cache.
        whole: bytes that one device needs at a time: a chunk's logits, a layer's gradients.
    """

    spread: int
    whole: int

    @property
    def bytes(self) -> int:
        """Both, as one device needs them."""
        return self.spread + self.whole


def step_demand(
    shape: Shape, work: Work, settings: Mapping, width: int, checkpointing: bool, heap: bool = False
) -> Demand:
    """Of an optimisation: its step, or the gate before it."""
    batch = settings.get("batch_size", 8)
    own = LONGEST * (work.input + work.target)
    tokens = max(min(settings.get("token_budget") or TOKEN_BUDGET, work.prompt + batch * own), work.prompt + own)
    attended = tokens + (batch - 1) * work.prompt
    spread = shape.activation_bytes(tokens, width, checkpointing, attended)
    step = shape.step_bytes(tokens, batch * LONGEST * work.target, width, checkpointing, attended, heap)
    gate = shape.gate_bytes(work.prompt + own, width)
    return Demand(spread, step - spread) if step >= gate else Demand(0, gate)


def rows_at_a_time(settings: Mapping, shape: Shape, limit: int, width: int, gpu_bytes: int | None) -> int:
    """Rows that are decoded together; ``auto`` on a GPU with this much memory, or on a CPU (None)."""
    rows = settings.get("batch_size", ROWS)
    if rows == AUTO:
        rows = shape.rows_in_flight(gpu_bytes, limit, width) if gpu_bytes else ROWS
    return min(rows, settings.get("block") or rows)


def answer_demand(shape: Shape, work: Work, settings: Mapping, width: int, packed: bool = False) -> Demand:
    """Of decoding after the longest prompt, or of reading an answer for its entropies.

    With ``auto`` what the usual rows need: more are only run where there is room for them.
    """
    rows, body = rows_at_a_time(settings, shape, work.limit, width, None), LONGEST * work.input
    prompt = work.prompt + EXAMPLES * (work.input + work.target)
    whole = max(shape.reading_bytes(rows * body, rows, width), shape.reading_bytes(TOKEN_BUDGET, CHUNK, width))
    if packed and settings.get("engine") == "vllm":
        return Demand(VLLM_CPU_CACHE, whole + shape.weight_bytes(width))
    cache = shape.decoding_bytes(rows, prompt, body, work.limit, width) - shape.reading_bytes(rows * body, rows, width)
    return Demand(cache, whole + (shape.packed_bytes(width) if packed else 0))


def step_on_cpu(
    shape: Shape, work: Work, settings: Mapping, width: int, checkpointing: bool, libraries: int = LIBRARIES
) -> int:
    """Main memory of an optimisation on a CPU; ``libraries`` where they were measured."""
    demand = step_demand(shape, work, settings, width, checkpointing, heap=True)
    return process_bytes(shape, width, demand.bytes, libraries)


def tuning_on_cpu(shape: Shape, work: Work, settings: Mapping, checkpointing: bool, libraries: int = LIBRARIES) -> int:
    """Main memory of training all weights on a CPU, in fp32.

    Beside what the weights take: a step as of the prompt's alone and as much again, for the inputs of products that trained weights
    keep, and three times the logits of a batch's targets.
    """
    step = step_demand(shape, work, settings, 4, checkpointing, heap=True).bytes
    targets = min(settings.get("batch_size", 8) * LONGEST * work.target, settings.get("token_budget") or TOKEN_BUDGET)
    above = tuning_bytes(shape.parameters, shape.head) + 2 * step + ceil(3 * 4 * targets * shape.vocabulary)
    return process_bytes(shape, 4, above, libraries)


def answer_on_cpu(shape: Shape, work: Work, settings: Mapping, width: int, libraries: int = LIBRARIES) -> int:
    """Main memory of answering on a CPU; ``libraries`` where they were measured."""
    return process_bytes(shape, width, answer_demand(shape, work, settings, width, packed=True).bytes, libraries)


def bytes_per_gpu(shape: Shape, width: int, demand: Demand, gpus: int = 1) -> int:
    """Memory of the fullest GPU, the layers spread over them in turn; embeddings and head count in full."""
    share = ceil(shape.layers / gpus) / shape.layers
    ends = (shape.parameters - shape.body) * width
    return round(CONTEXT + ends + demand.whole + share * (shape.body * width + demand.spread))


def bytes_a_part(shape: Shape, width: int, demand: Demand, parts: int) -> int:
    """Memory of each of the GPUs that share every product (vLLM's tensor parallelism)."""
    return round(CONTEXT + demand.whole + (shape.weight_bytes(width) + demand.spread) / parts)


def gpus_needed(shape: Shape, width: int, demands: Iterable[Demand], gpu: int, most: int) -> int | None:
    """The fewest GPUs of ``gpu`` bytes that hold each of these jobs, or None if ``most`` do not."""
    counts, demands = range(1, min(most, shape.layers) + 1), list(demands)
    return next((n for n in counts if largest(shape, width, demands, n) <= SPARE * gpu), None)


def largest(shape: Shape, width: int, demands: Iterable[Demand], gpus: int) -> int:
    """Memory of the fullest GPU over all of these jobs."""
    return max(bytes_per_gpu(shape, width, demand, gpus) for demand in demands)
