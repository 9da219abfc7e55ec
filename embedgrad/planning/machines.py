"""Rates and memory of the machine at hand, measured; what every job takes is measured once and kept."""

import time

import torch

from embedgrad.planning.baseline import baseline
from embedgrad.planning.gpus import Machine, free_disk
from embedgrad_core.files import UserError
from embedgrad_core.model import kernels, memory

# Part of the products' rates that a model's passes reach on a CPU: attention, norms and softmax take their time, too. By all of the
# rates, forecasts were 0.56 to 0.78 of what four jobs of SmolLM2-135M-Instruct took on an idle machine (docs/performance.md).
REACHED = 0.65


def this_machine(device: str = "auto") -> Machine:
    """The machine at hand, its rates measured: about a second on a CPU, and the first time a job's start besides."""
    wants_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if wants_gpu and not torch.cuda.is_available():
        raise UserError(f"device {device!r} was asked for but torch sees no CUDA device; name a GPU with --gpu.")
    place = torch.device("cuda" if wants_gpu else "cpu")
    dtype = torch.bfloat16 if wants_gpu else torch.float32
    flops, read = _rates(place, dtype)
    if wants_gpu:
        free, _ = torch.cuda.mem_get_info()
        return Machine(torch.cuda.get_device_name(), free, flops, read, 2, free_disk(), is_gpu=True)
    threads = torch.get_num_threads()
    name = f"this CPU, {threads} thread{'s' * (threads > 1)}, fp32"
    return Machine(name, memory.free_memory(), REACHED * flops, REACHED * read, 4, free_disk(), baseline=baseline())


@torch.no_grad()
def _rates(place: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    weight = torch.randn(4096, 2048, device=place, dtype=dtype)
    rates = []
    for rows in (512, 1):
        batch = torch.randn(rows, 2048, device=place, dtype=dtype)
        seconds = []
        for _ in range(6):
            _wait(place)
            started = time.perf_counter()
            kernels.linear(batch, weight)
            _wait(place)
            seconds.append(time.perf_counter() - started)
        rates.append(1 / min(seconds))
    return rates[0] * 2 * 512 * weight.numel(), rates[1] * weight.numel() * weight.element_size()


def _wait(place: torch.device) -> None:
    if place.type == "cuda":
        torch.cuda.synchronize()
