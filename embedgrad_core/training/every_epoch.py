"""The vectors of every epoch of an optimisation, in one file beside its resume state."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from embedgrad_core.files import UserError, write_whole


def kept_epochs(state: str | Path) -> Path:
    """Where the vectors lie that go with a resume state."""
    return Path(state).with_suffix(f".epochs{Path(state).suffix}")


def save_epochs(path: Path, vectors: Mapping[int, torch.Tensor]) -> None:
    """Write the vectors by epoch, each (k, d) float32; whole or not at all."""
    with write_whole(path) as temporary:
        temporary.write_bytes(save({f"{epoch}": one.contiguous() for epoch, one in vectors.items()}))


def load_epochs(path: Path) -> dict[int, torch.Tensor]:
    """The vectors by epoch; none where there is no file.

    Raises:
        UserError: it cannot be read.
    """
    if not path.exists():
        return {}
    try:
        with safe_open(path, framework="pt") as source:
            return {int(name): source.get_tensor(name) for name in source.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: unreadable ({error}); delete it and the state beside it to start anew.") from None
