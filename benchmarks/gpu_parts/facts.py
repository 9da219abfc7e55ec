"""What the machine is, and its two ceilings: bytes copied and bf16 products per second."""

import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
import transformers
from measure import machine

from gpu_parts.record import Context


def run(context: Context) -> None:
    """Names and versions first; then the rates."""
    context.measure("machine", lambda: [facts(context.device)])
    context.measure("rates", lambda: rates(context))


def facts(device: str) -> dict:
    """Names and versions."""
    found = {**machine(device), "cpus": os.cpu_count(), "system": platform.platform()}
    found["transformers"] = transformers.__version__
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "memory_bytes": properties.total_memory,
            "processors": properties.multi_processor_count,
            "capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "driver": driver(),
        }
    return found


def driver() -> str:
    """As nvidia-smi says it."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return "nvidia-smi is not there"
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True).stdout.strip() or "no output from nvidia-smi"


def rates(context: Context) -> Iterator[dict]:
    """Bytes a second of a copy (read and written counted), and operations a second of a product."""
    cuda = context.device == "cuda"
    size = 2**32 if cuda and not context.small else 2**27
    source = torch.randn(size // 4, device=context.device)
    target = torch.empty_like(source)
    yield {"copy_bytes_per_s": 2 * size / median_seconds(partial(target.copy_, source), cuda)}
    del source, target
    side, dtype = (8192 if cuda and not context.small else 1024), torch.bfloat16 if cuda else torch.float32
    one, other = (torch.randn(side, side, device=context.device, dtype=dtype) for _ in range(2))
    seconds = median_seconds(partial(torch.matmul, one, other), cuda)
    yield {f"{str(dtype).removeprefix('torch.')}_flops_per_s": 2 * side**3 / seconds}


def median_seconds(work: Callable[[], object], cuda: bool, repeats: int = 20) -> float:
    """Of one call, after three to warm up; on a GPU between two waits."""
    seconds = []
    for repeat in range(repeats + 3):
        if cuda:
            torch.cuda.synchronize()
        begun = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize()
        if repeat >= 3:
            seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def measured(context: Context) -> tuple[float | None, float | None]:
    """Bytes and operations per second as the part before found them, or None."""
    found = {key: value for row in context.rows("facts") for key, value in row.items()}
    flops = next((value for key, value in found.items() if key.endswith("_flops_per_s")), None)
    return found.get("copy_bytes_per_s"), flops
