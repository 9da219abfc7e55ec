"""Fit a gradient rival by the loop that fits EmbedGrad, and put a fitted one to work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib import import_module
from math import ceil
from pathlib import Path
from typing import Any

from embedgrad.rivals.artefact import Artefact, anchor_of
from embedgrad.rivals.method import Family, Rival, Served, check_settings
from embedgrad.runtime.progress import Epochs, history_line
from embedgrad_core import FrozenModel, Layout, Settings, Slot
from embedgrad_core.files import Item, UserError
from embedgrad_core.model.attention import check_attention
from embedgrad_core.objective import encode
from embedgrad_core.training import best_epoch, fit


def family_of(rival: Rival) -> Family:
    """The module that knows the rival."""
    return import_module(f"embedgrad.rivals.{rival.family}")


def fit_rival(
    frozen: FrozenModel,
    layout: Layout,
    text: str,
    rival: Rival,
    train: Sequence[Item],
    dev: Sequence[Item],
    settings: Settings,
    *,
    changes: Mapping[str, Any] | None = None,
    state: Path | None = None,
    log: Callable[[str], None] = print,
) -> tuple[Artefact, list[dict]]:
    """Fit a gradient rival.

    Args:
        frozen: the model; it is not to be used for anything else afterwards, as modules may have been put into it.
        layout: where the human prompt sits.
        text: the human prompt.
        rival: which one.
        train: training items.
        dev: items for early stopping and the choice of a rate; never the test split.
        settings: hyperparameters; ``seed`` also decides what is drawn at random before the first step.
        changes: of the rival's own settings.
        state: file for resuming.
        log: where plain lines go.

    Returns:
        The artefact of the best epoch and the history.

    Raises:
        UserError: what the rival or the loop refuse.
    """
    if not train or not dev:
        raise UserError(f"rival {rival.name}: fitting needs at least one training and one dev item.")
    rival = replace(rival, settings=check_settings(rival, changes or {}))
    check_attention(frozen.network)
    slot = Slot.place(frozen.tokenizer, layout, text)
    steps = settings.epochs * ceil(len(train) / settings.batch_size)
    anchor = anchor_of(frozen, slot)
    begun = family_of(rival).begin(frozen, slot, rival, train, settings.seed, steps)
    trained = sum(leaf.numel() for leaf in begun.trainable.leaves.values())
    log(f"{rival.name}: {trained:,} trainable parameters")
    examples, dev_examples = (encode(slot, items, frozen.context) for items in (train, dev))
    with Epochs(settings.epochs, log) as epochs:

        def on_epoch(line: dict) -> None:
            epochs.end()
            log(history_line(line))

        best, history = fit(
            begun.trainable,
            examples,
            dev_examples,
            settings,
            state=state,
            on_epoch=on_epoch,
            log=log,
            on_progress=epochs.on_progress,
        )
    header = {
        "optimisation": asdict(settings),
        "best_epoch": best_epoch(history, settings),
        "trained_parameters": trained,
        "items": {"train": len(train), "dev": len(dev)},
    }
    return Artefact(rival, slot, begun.store(best), anchor, header), history


def serve(frozen: FrozenModel, artefact: Artefact) -> Served:
    """Put a fitted rival to work; ``frozen`` may have modules put into it.

    Raises:
        UserError: its tensors do not fit the model.
    """
    return family_of(artefact.rival).serve(frozen, artefact.slot, artefact.rival, artefact.tensors)
