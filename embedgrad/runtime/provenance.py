"""What a result remembers of how it was made."""

import datetime
import importlib.metadata
import platform
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from embedgrad.runtime.energy import Meter
from embedgrad_core.files import sha256_of_file

if TYPE_CHECKING:
    from embedgrad_core import FrozenModel

PACKAGES = ("embedgrad", "torch", "transformers", "tokenizers", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a number."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def made_with(frozen: "FrozenModel", prompt_file: Path | None = None) -> dict:
    """What an analysis says of how it was made: model, versions, and the hash of the prompt file if it read one."""
    row = {"model": frozen.identity(), "versions": versions()}
    return row | ({"prompt_sha256": sha256_of_file(prompt_file)} if prompt_file else {})


def git_state() -> dict:
    """Commit and cleanliness of the checkout this code runs from; nulls outside of one."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str | None:
        try:
            answer = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


class Run:
    """A sidecar ``*.run.json``: model, versions, device, seconds by the clock and of all threads, memory, energy.

    Start it first, ask for ``row`` last.
    """

    def __init__(self) -> None:
        self._started, self._cpu = time.perf_counter(), time.process_time()
        self._meter = Meter()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self._started

    def row(self, frozen: "FrozenModel", **more: object) -> dict:
        """The sidecar's content."""
        import torch

        from embedgrad_core.model.memory import peak_memory_bytes

        return {
            **made_with(frozen),
            "git": git_state(),
            "threads": torch.get_num_threads(),
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(time.process_time() - self._cpu, 3),
            "peak_memory_bytes": peak_memory_bytes(frozen),
            **self._meter.row(),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **more,
        }
