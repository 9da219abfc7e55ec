"""GPUs by their data sheets, and what forecasts take jobs to run on. Needs no torch, so that planning a workflow stays quick."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from embedgrad_core.files import UserError
from embedgrad_core.model.costs import LIBRARIES

# Gigabytes; bf16 (T4: fp16) dense TFLOP/s; TB/s. Data sheets of NVIDIA: H200, H100 SXM, A100, L40S, A10, RTX 4090, T4.
GPUS = {
    "h200": (141, 989, 4.8),
    "h100": (80, 989, 3.35),
    "a100-80": (80, 312, 2.04),
    "a100-40": (40, 312, 1.56),
    "l40s": (48, 362, 0.86),
    "a10": (24, 125, 0.6),
    "rtx4090": (24, 165, 1.01),
    "t4": (16, 65, 0.3),
}
# Part of a data sheet's rates that these loops are taken to reach; no run on a GPU has checked it yet.
SHARE = 0.4
# A GPU that nobody named is taken to be this one.
UNNAMED = "a100-40"
# What a CPU is taken to do, in operations per second and thread, and bytes per second: half of what one small virtual machine did.
# Another (AVX2, its cores shared with other jobs) did 37e9 and 14e9. Limits of time have four times the seconds (durations.py), so
# that they hold for a quarter of these rates; ``embedgrad plan`` measures the machine at hand.
CPU_FLOPS, CPU_READ = 40e9, 5e9
# Seconds in which a job imports torch and transformers, where nobody has measured. On one machine 4.4 s; on another 9 s, and 38 s
# beside other jobs: what the limits of time add (durations.MINUTES) is fifty times that.
START = 6.0


@dataclass(frozen=True)
class Baseline:
    """What every job takes.

    Attributes:
        libraries: bytes of main memory at the peak, the model's own part left out.
        start: seconds of the imports; measured, those of computing, which no other process on the machine adds to.
    """

    libraries: int = LIBRARIES
    start: float = START


ASSUMED = Baseline()


@dataclass(frozen=True)
class Machine:
    """What a forecast needs to know of a machine.

    Attributes:
        name: for people.
        memory: bytes that a job may take.
        flops: operations per second that a pass over many rows reaches.
        read: bytes a second that a pass over few rows reads weights at.
        bytes_each: of a weight: 4 in fp32, 2 in bf16.
        disk: bytes free where results go.
        is_gpu: whether memory is a GPU's, or else main memory.
        baseline: what every job takes there; assumptions where it was not measured.
    """

    name: str
    memory: int
    flops: float
    read: float
    bytes_each: int
    disk: int
    is_gpu: bool = False
    baseline: Baseline = ASSUMED


def gpu_bytes(name: str) -> int:
    """Memory of one GPU.

    Raises:
        UserError: a name that is not in ``GPUS``.
    """
    if name not in GPUS:
        raise UserError(f"gpu {name}: no such GPU; known are {', '.join(GPUS)}.")
    return GPUS[name][0] * 10**9


def named_gpu(name: str) -> Machine:
    """A GPU by its data sheet.

    Raises:
        UserError: a name that is not in ``GPUS``.
    """
    memory = gpu_bytes(name)
    _, teraflops, terabytes = GPUS[name]
    rates = (teraflops * 1e12 * SHARE, terabytes * 1e12 * SHARE)
    return Machine(f"one {name} (data sheet × {SHARE})", memory, *rates, 2, free_disk(), is_gpu=True)


def some_cpu(threads: int) -> Machine:
    """A slow CPU, for the time limits of jobs that may land on any."""
    return Machine(f"a CPU, {threads} thread{'s' * (threads != 1)}", 0, threads * CPU_FLOPS, CPU_READ, 4, free_disk())


def free_disk() -> int:
    """Bytes free where weights go."""
    place = Path(os.environ.get("HF_HOME", Path.cwd()))
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
