"""Rates and memory of a machine: measured here in a second, or a named card's from its data sheet."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from contracts import UserError
from embedgrad.planning.cards import CARDS, card_bytes
from embedgrad_core import kernels

# Part of a data sheet's rates that these loops are taken to reach; no run on a card has checked it yet.
SHARE = 0.4


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
        is_card: whether memory is a card's, or else main memory.
    """

    name: str
    memory: int
    flops: float
    read: float
    bytes_each: int
    disk: int
    is_card: bool = False


def named_card(name: str) -> Machine:
    """A card by its data sheet.

    Raises:
        UserError: a name that is not in ``CARDS``.
    """
    memory = card_bytes(name)
    _, teraflops, terabytes = CARDS[name]
    rates = (teraflops * 1e12 * SHARE, terabytes * 1e12 * SHARE)
    return Machine(f"one {name} (data sheet × {SHARE})", memory, *rates, 2, _free_disk(), is_card=True)


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
        return Machine(torch.cuda.get_device_name(), free, flops, read, 2, _free_disk(), is_card=True)
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
