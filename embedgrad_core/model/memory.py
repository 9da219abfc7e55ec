"""Memory as the machine has it: what is free, what was the peak, and what to do when it runs out."""

import resource
from typing import TYPE_CHECKING

import psutil
import torch

if TYPE_CHECKING:
    from embedgrad_core.model.frozen import FrozenModel


def free_memory(device: torch.device | None = None) -> int:
    """Bytes that this machine can still give, or a GPU."""
    if device is not None and device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an allocator gave up, on a GPU or in main memory."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def release_memory(device: torch.device) -> None:
    """Give a GPU's cached blocks back before trying with less."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def peak_memory_bytes(frozen: "FrozenModel") -> int:
    """Peak memory so far: of the fullest GPU where there is one, else of the process."""
    if frozen.device.type == "cuda":
        gpus = range(torch.cuda.device_count()) if frozen.is_divided else [frozen.device]
        return max(torch.cuda.max_memory_allocated(gpu) for gpu in gpus)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
