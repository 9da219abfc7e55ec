"""EmbedGrad: Eq. 7's loop (:mod:`embedgrad_core.training`) on the prompt's vectors."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from embedgrad_core.files import Item
from embedgrad_core.model.attention import check_attention
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.objective import encode
from embedgrad_core.prompt import PromptEmbedding
from embedgrad_core.settings import Settings
from embedgrad_core.trainable import prompt_vectors
from embedgrad_core.training import best_epoch, fit


def optimize(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    train: Sequence[Item],
    dev: Sequence[Item],
    settings: Settings,
    *,
    dev_accuracy: Callable[[torch.Tensor], float] | None = None,
    state: str | Path | None = None,
    on_epoch: Callable[[dict], None] = lambda line: None,
    log: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[int, str, int, int], None] = lambda epoch, part, done, total: None,
) -> tuple[PromptEmbedding, list[dict]]:
    """Optimise a prompt's vectors on labelled items.

    Args:
        prompt: where to start; not changed.
        train: items of Eq. 7.
        dev: items for early stopping; never the test split.
        settings: hyperparameters.
        dev_accuracy: (k, d) vectors → accuracy on dev by decoding and grading; None leaves it out of the history.
        state: file for resuming; a state of other settings, data or model is refused.
        on_epoch: called with each history line; its keys are :func:`~embedgrad_core.training.fit`'s.
        log, on_progress: likewise.

    Returns:
        The best prompt by the early-stop rule, epoch 0 (the text itself) included, and the history.

    Raises:
        UserError: no items, an item that does not fit, a state file of another run, a text prompt whose loss is not finite.
        KeyboardInterrupt: passed on after the state was saved.
    """
    examples, dev_examples = (encode(prompt.slot, items, frozen.context) for items in (train, dev))
    check_attention(frozen.network)
    vectors = prompt.vectors.to(frozen.device, copy=True).requires_grad_()
    best, history = fit(
        prompt_vectors(frozen, prompt.slot, vectors, prompt.initial),
        examples,
        dev_examples,
        settings,
        dev_accuracy=(lambda: dev_accuracy(vectors.detach())) if dev_accuracy else None,
        state=state,
        on_epoch=on_epoch,
        log=log,
        on_progress=on_progress,
    )
    trained = PromptEmbedding(best["vectors"].cpu(), prompt.initial, prompt.slot, dict(prompt.header))
    trained.header["settings"] = asdict(settings)
    trained.header["best_epoch"] = best_epoch(history, settings)
    return trained, history
