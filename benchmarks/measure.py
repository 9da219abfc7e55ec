"""Time and peak memory, side by side."""

import ctypes
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch


def timed(work: Callable[[], object], device: str) -> tuple[float, int]:
    """Seconds of one call, and the bytes by which it raised the peak above what was in use before."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        before = _reset_peak()
    started = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else status("VmHWM")
    return seconds, max(0, peak - before)


def _reset_peak() -> int:
    """Give freed memory back, set the process's peak to what it holds now, and return that (Linux).

    Then wait a moment: a virtual machine may still be busy with the gigabytes that the side before gave back.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    time.sleep(3)
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def status(key: str) -> int:
    """Bytes of a line of this process's status (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def interleaved(sides: dict[str, Callable[[int], object]], repeats: int, device: str) -> dict[str, dict]:
    """Each side in turn, ``repeats`` times after one warm-up; medians of seconds and peak bytes."""
    seen: dict[str, list[tuple[float, int]]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, work in sides.items():
            measured = timed(lambda work=work, repeat=repeat: work(repeat), device)
            if repeat:
                seen[name].append(measured)
    return {
        name: {
            "seconds": statistics.median(seconds for seconds, _ in rows),
            "spread": max(seconds for seconds, _ in rows) / min(seconds for seconds, _ in rows),
            "peak_bytes": max(peak for _, peak in rows),
        }
        for name, rows in seen.items()
    }


def machine(device: str) -> dict:
    """Where a figure comes from."""
    import transformers

    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else f"{os.cpu_count()} cores of {_cpu()}",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def write(path: Path | None, result: dict) -> None:
    """The figures as JSON, if wanted."""
    if path:
        path.write_text(json.dumps(result, indent=1) + "\n")
