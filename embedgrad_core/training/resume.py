"""What an interrupted training goes on from: leaves, Adam's moments, the best so far, and how far the epoch has come."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open

from embedgrad_core.files import COUNT, UserError, checksum, misfit
from embedgrad_core.prompt import tensors_sha256, write_tensors
from embedgrad_core.training.trainable import Trainable

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class EpochProgress:
    """How much of the current epoch is done.

    Attributes:
        steps: whole steps.
        loss: summed over their items, nats.
        norms: summed gradient norms.
        tokens: of their items.
        seconds: that they took, by the clock.
        cpu_seconds: of all threads of the process.
        stopped: why the epoch cannot go on, or empty.
    """

    steps: int = 0
    loss: float = 0.0
    norms: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    stopped: str = ""

    def after(self, loss: float, norm: float, tokens: int, seconds: float, cpu_seconds: float) -> Self:
        """One step further."""
        done = self.steps + 1, self.loss + loss, self.norms + norm, self.tokens + tokens
        return type(self)(*done, seconds, cpu_seconds)


@dataclass(frozen=True)
class Snapshot:
    """A consistent state between two steps, on the CPU."""

    tensors: dict[str, torch.Tensor]
    history: list[dict]
    progress: EpochProgress

    @classmethod
    def take(
        cls,
        optimizer: torch.optim.Optimizer,
        trainable: Trainable,
        best: Mapping[str, torch.Tensor],
        history: list[dict],
        progress: EpochProgress,
        copy: bool = True,
    ) -> Self:
        """What the next step will change, copied unless it is saved before that step."""
        tensors: dict[str, torch.Tensor] = {}
        for name, leaf in trainable.leaves.items():
            tensors |= {name: leaf.detach(), f"best {name}": best[name]}
            tensors |= {f"{moment} {name}": value for moment, value in optimizer.state.get(leaf, {}).items()}
        tensors |= {f"buffer {name}": value for name, value in trainable.buffers().items()}
        copies = {name: tensor.to("cpu", copy=copy) for name, tensor in tensors.items() if tensor is not None}
        return cls(copies, history, progress)

    def restore(
        self, optimizer: torch.optim.Optimizer, trainable: Trainable
    ) -> tuple[dict[str, torch.Tensor], list[dict], EpochProgress]:
        """Put leaves, buffers and moments back; returns the best leaves, history and the epoch's progress."""
        moments: dict[int, dict[str, torch.Tensor]] = {}
        with torch.no_grad():
            for place, (name, leaf) in enumerate(trainable.leaves.items()):
                leaf.copy_(self.tensors[name])
                own = {
                    moment: self.tensors[f"{moment} {name}"] for moment in MOMENTS if f"{moment} {name}" in self.tensors
                }
                moments |= {place: own} if own else {}
            for name, buffer in trainable.buffers().items():
                buffer.copy_(self.tensors[f"buffer {name}"])
        trainable.on_restore()
        if moments:
            optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
        best = {name: self.tensors[f"best {name}"].to(leaf.device) for name, leaf in trainable.leaves.items()}
        return best, self.history, self.progress


def save_state(path: str | Path | None, run: str, snapshot: Snapshot) -> None:
    """Write a snapshot, whole or not at all; ``run`` is a hash of all that a resumed run must share."""
    if path is None:
        return
    head = {
        "run": run,
        "history": snapshot.history,
        "passed": asdict(snapshot.progress),
        "tensors": tensors_sha256(snapshot.tensors),
    }
    text = json.dumps(head | {"check": checksum(head)}, allow_nan=False)
    write_tensors(path, snapshot.tensors, text)


_PASSED = {
    **dict.fromkeys(("steps", "tokens"), COUNT),
    **dict.fromkeys(("loss", "norms", "seconds", "cpu_seconds"), float),
    "stopped": str,
}


def _misfit_of(history: object) -> str | None:
    """The first line of a history that cannot be gone on from, or None."""
    if not isinstance(history, list):
        return "history"
    for place, line in enumerate(history):
        # What broke an epoch off ends the history; it says no loss.
        stopped = isinstance(line, dict) and place > 0 and isinstance(line.get("stopped"), str)
        shape = {"epoch": COUNT} if stopped else {"epoch": COUNT, "dev_loss": float, "dev_accuracy": (float,)}
        wrong = misfit(line, shape) or ("epoch" if line["epoch"] != place else None)
        if wrong:
            return f"history.{place}.{wrong}"
    return None


def _unfit(tensors: Mapping[str, torch.Tensor], trainable: Trainable) -> str | None:
    """The first tensor that is missing, of another shape or not finite, or None."""
    wanted: dict[str, torch.Tensor] = {}
    for name, leaf in trainable.leaves.items():
        wanted |= {name: leaf, f"best {name}": leaf}
        # None before the first step, nor with plain gradient descent.
        own = {"step": leaf.new_zeros(()), "exp_avg": leaf, "exp_avg_sq": leaf}
        wanted |= {f"{moment} {name}": like for moment, like in own.items() if f"{moment} {name}" in tensors}
    wanted |= {f"buffer {name}": buffer for name, buffer in trainable.buffers().items()}
    for name, like in wanted.items():
        found = tensors.get(name)
        if found is None or (found.shape, found.dtype) != (like.shape, like.dtype) or not torch.isfinite(found).all():
            return name
    return None


def load_state(path: str | Path | None, run: str, trainable: Trainable) -> Snapshot | None:
    """The snapshot, or None where there is none; its tensors have the shapes of what is trained.

    Raises:
        UserError: the file is damaged, or belongs to another run.
    """
    if path is None or not Path(path).exists():
        return None
    try:
        with safe_open(path, framework="pt") as source:
            tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118 (not a mapping)
            head = json.loads(source.metadata()["embedgrad"])
        if head["check"] != checksum(head) or head["tensors"] != tensors_sha256(tensors):
            raise ValueError("its content does not fit its checksum")
        saved, history, progress = head["run"], head["history"], EpochProgress(**head["passed"])
        if wrong := misfit({"cpu_seconds": 0.0} | head["passed"], _PASSED) or _misfit_of(history):
            raise ValueError(f"key {wrong!r} is of the wrong kind")
        if unfit := _unfit(tensors, trainable):
            raise ValueError(f"tensor {unfit!r} is missing, of another shape or not finite")
    # As in a prompt file: a file that lies about its shapes can make the library raise almost anything.
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(
            f"{path}: unreadable resume state ({error}); delete it to start the optimisation anew."
        ) from None
    if saved != run:
        raise UserError(
            f"{path}: this resume state belongs to another model, data or setting; delete it to start anew."
        )
    return Snapshot(tensors, history, progress)
