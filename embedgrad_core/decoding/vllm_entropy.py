"""Eq. 11 inside vLLM: a logits processor that writes down each row's entropy and hands the logits on untouched.

vLLM makes it from its name in every process that works on a model: this one, or one for each GPU with tensor parallelism. Each
process writes a file of its own in the folder that ``FOLDER`` names when it starts; :func:`collect` reads them.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from embedgrad_core.decoding.greedy import entropy_bits

NAME = "embedgrad_core.decoding.vllm_entropy:EntropyRecorder"
# In a request's extra_args: the row that it answers. In the environment: where the entropies go.
ROW, FOLDER = "embedgrad_row", "EMBEDGRAD_VLLM_ENTROPIES"


class EntropyRecorder(LogitsProcessor):
    """Appends ``[[row, bits], …]`` for each step to this process's file."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self.rows: dict[int, int] = {}  # place in vLLM's batch → our row
        path = Path(os.environ[FOLDER], str(os.getpid()))
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def is_argmax_invariant(self) -> bool:
        """No; vLLM would skip it in greedy sampling otherwise."""
        return False

    def update_state(self, batch_update: "BatchUpdate | None") -> None:
        """Follow the rows to their places in vLLM's batch."""
        if batch_update is None:
            return
        for place in batch_update.removed:
            self.rows.pop(place, None)
        for place, settings, *_ in batch_update.added:
            self.rows[place] = settings.extra_args[ROW]
        for source, target, direction in batch_update.moved:
            moved, replaced = self.rows.pop(source, None), self.rows.pop(target, None)
            if moved is not None:
                self.rows[target] = moved
            if direction == MoveDirectionality.SWAP and replaced is not None:
                self.rows[source] = replaced

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """(rows, V) raw logits, unchanged."""
        bits = entropy_bits(logits.float()).tolist()
        step = [[self.rows[place], value] for place, value in enumerate(bits) if place in self.rows]
        os.write(self.file, f"{json.dumps(step)}\n".encode())
        return logits


def collect(folder: str) -> dict[int, list[float]]:
    """Entropies of each row in bits, in the order of its tokens, since the last call, from a model's folder.

    Processes that share a model see the same logits; the fullest file counts.
    """
    found: list[dict[int, list[float]]] = [{}]
    for path in Path(folder).iterdir():
        rows: dict[int, list[float]] = {}
        for line in path.read_text(encoding="ascii").splitlines():
            for row, bits in json.loads(line):
                rows.setdefault(row, []).append(bits)
        os.truncate(path, 0)
        found.append(rows)
    return max(found, key=lambda rows: sum(map(len, rows.values())))
