"""An optimisation of which every epoch is kept, with its progress."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from embedgrad.runtime.progress import Epochs, history_line
from embedgrad_core import FrozenModel, PromptEmbedding, Settings
from embedgrad_core.files import Item
from embedgrad_core.training.optimization import optimize_every_epoch


def every_epoch(
    frozen: FrozenModel,
    text: PromptEmbedding,
    train: Sequence[Item],
    dev: Sequence[Item],
    settings: Settings,
    *,
    state: Path | None = None,
    log: Callable[[str], None] = print,
) -> tuple[list[torch.Tensor], list[dict]]:
    """:func:`~embedgrad_core.training.optimization.optimize_every_epoch`, told to ``log``."""
    with Epochs(settings.epochs, log) as at:

        def on_epoch(line: dict) -> None:
            at.end()
            log(history_line(line))

        return optimize_every_epoch(
            frozen, text, train, dev, settings, state=state, on_epoch=on_epoch, log=log, on_progress=at.on_progress
        )
