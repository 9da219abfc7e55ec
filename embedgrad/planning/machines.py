"""Rates and memory of a machine: measured here in a second, or a named card's from its data sheet."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from contracts import UserError
from embedgrad_core import kernels

# Part of a data sheet's rates that these loops are taken to reach; no run on a card has checked it yet.
SHARE = 0.4
# Gigabytes; bf16 (T4: fp16) dense TFLOP/s; TB/s. Data sheets of NVIDIA: H200, H100 SXM, A100, L40S, A10, RTX 4090, T4.
CARDS = {
    "h200": (141, 989, 4.8),
    "h100": (80, 989, 3.35),
    "a100-80": (80, 312, 2.04),
    "a100-40": (40, 312, 1.56),
    "l40s": (48, 362, 0.86),
    "a10": (24, 125, 0.6),
    "rtx4090": (24, 165, 1.01),
    "t4": (16, 65, 0.3),
}


@dataclass(frozen=True)
class Machine:
    """What a forecast needs to know of a machine.

    Attributes:
        name: for people.
        memory: bytes that a job may take.
        flops: arithmetic a second that products of many rows reach.
        read: bytes a second that products of few rows read weights at.
        bytes_each: of a weight: 4 in fp32, 2 in bf16.
        disk: bytes free where results go.
    """

    name: str
    memory: int
    flops: float
    read: float
    bytes_each: int
    disk: int


def named_card(name: str) -> Machine:
    """A card by its data sheet.

    Raises:
        UserError: a name that is not in ``CARDS``.
    """
    if name not in CARDS:
        raise UserError(f"--card {name}: no such card; known are {', '.join(CARDS)}.")
    gigabytes, teraflops, terabytes = CARDS[name]
    rates = (teraflops * 1e12 * SHARE, terabytes * 1e12 * SHARE)
    return Machine(f"one {name} (data sheet × {SHARE})", gigabytes * 10**9, *rates, 2, _free_disk())


def this_machine(device: str = "auto") -> Machine:
    """The machine at hand, its rates measured: about a second on a CPU."""
    wants_card = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if wants_card and not torch.cuda.is_available():
        raise UserError(f"device {device!r} was asked for but torch sees no CUDA device; name a card with --card.")
    place = torch.device("cuda" if wants_card else "cpu")
    dtype = torch.bfloat16 if wants_card else torch.float32
    flops, read = _rates(place, dtype)
    if wants_card:
        free, _ = torch.cuda.mem_get_info()
        return Machine(torch.cuda.get_device_name(), free, flops, read, 2, _free_disk())
    name = f"this CPU, {torch.get_num_threads()} threads, fp32"
    return Machine(name, kernels.free_memory(), flops, read, 4, _free_disk())


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


def _free_disk() -> int:
    place = Path(os.environ.get("HF_HOME", Path.cwd()))
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
