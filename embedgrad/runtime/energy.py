"""Energy that a job used, where the machine tells it: RAPL counters of the CPU packages, NVML's of the GPUs.

Both count the whole package or GPU, whoever else uses it. A machine that tells nothing (most virtual ones) gives nothing.
"""

import importlib
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from embedgrad.runtime import gpus

POWERCAP = Path("/sys/class/powercap")
# RAPL counters start again at their range, after some 40 minutes of a package at 100 W: they are looked at more often.
EVERY = 60.0


class Meter:
    """Counts from when it is made.

    Args:
        powercap: where Linux shows RAPL (Documentation/power/powercap/powercap.rst of its source).
        every: seconds between two looks.
    """

    def __init__(self, powercap: Path = POWERCAP, every: float = EVERY) -> None:
        self._ranges = _packages(powercap)
        self._last = {path: _number(path / "energy_uj") or 0 for path in self._ranges}
        self._used, self._lock = 0, threading.Lock()
        self._gpus = _gpu_counters()
        self._first = {name: read() for name, read in self._gpus.items()}
        self._over = threading.Event()
        if self._ranges:
            threading.Thread(target=self._watch, args=(every,), daemon=True).start()

    def row(self) -> dict[str, float]:
        """``energy_cpu_joules`` and ``energy_gpu_joules``, those of them that the machine tells; of GPUs those visible by now."""
        self.look()
        found = {"cpu": self._used / 1e6} if self._ranges else {}
        if names := [name for name in gpus.visible() if name in self._first] if self._first else []:
            found["gpu"] = sum(self._gpus[name]() - self._first[name] for name in names) / 1e3
        return {f"energy_{name}_joules": round(value, 1) for name, value in found.items()}

    def _watch(self, every: float) -> None:
        while not self._over.wait(every):
            self.look()

    def look(self) -> None:
        """Add what was used since the last look."""
        with self._lock:
            for path, most in self._ranges.items():
                now = _number(path / "energy_uj")
                if now is not None:
                    self._used += (now - self._last[path]) % (most + 1)
                    self._last[path] = now

    def close(self) -> None:
        """Stop looking."""
        self._over.set()


def _packages(powercap: Path) -> dict[Path, int]:
    """The CPU packages whose counter may be read, each with its range in microjoules; not the parts that lie inside them."""
    found = {}
    for path in sorted(powercap.glob("intel-rapl:*")):
        most = _number(path / "max_energy_range_uj")
        if path.name.count(":") == 1 and most and _number(path / "energy_uj") is not None:
            found[path] = most
    return found


def _number(path: Path) -> int | None:
    """The whole number in a file; None where there is none, or it is root's alone (as energy_uj is on most systems)."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _gpu_counters() -> dict[str, Callable[[], int]]:
    """Of each GPU, by index and by UUID, what reads its millijoules since the driver was loaded.

    Needs pynvml, which is no requirement of the suite, and a GPU from Volta on; without them nothing is counted.
    """
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return {}
    found: dict[str, Callable[[], int]] = {}
    with suppress(nvml.NVMLError):
        nvml.nvmlInit()
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            read = partial(nvml.nvmlDeviceGetTotalEnergyConsumption, handle)
            read()
            uuid = nvml.nvmlDeviceGetUUID(handle)
            found |= dict.fromkeys([str(index), uuid.decode() if isinstance(uuid, bytes) else uuid], read)
    return found
