"""EmbedGrad: the loop of Eq. 7 (:mod:`~embedgrad_core.training.loop`) on the vectors of a prompt; the epoch by dev or by folds."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from embedgrad_core.files import Item, UserError
from embedgrad_core.model.attention import check_attention
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.objective import encode
from embedgrad_core.prompt import PromptEmbedding
from embedgrad_core.training.every_epoch import kept_epochs, load_epochs, save_epochs
from embedgrad_core.training.loop import best_epoch, fit
from embedgrad_core.training.settings import Settings
from embedgrad_core.training.trainable import prompt_vectors


def optimize(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    train: Sequence[Item],
    dev: Sequence[Item],
    settings: Settings,
    *,
    dev_accuracy: Callable[[torch.Tensor], float] | None = None,
    item_losses: bool = False,
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
        item_losses: keep the loss of each dev item too.
        state: file for resuming; a state of other settings, data or model is refused.
        on_epoch: called with each history line; its keys are :func:`~embedgrad_core.training.loop.fit`'s.
        log, on_progress: likewise.

    Returns:
        The best prompt by the early-stop rule, epoch 0 (the start: the text itself, if not displaced) included, and the history.

    Raises:
        UserError: no items, an item that does not fit, a state file of another run, a text prompt whose loss is not finite.
        KeyboardInterrupt: passed on after the state was saved.
    """
    told: dict[str, Any] = {"state": state, "on_epoch": on_epoch, "log": log, "on_progress": on_progress}
    told["item_losses"] = item_losses
    best, _, history = _fit(frozen, prompt, train, dev, settings, dev_accuracy, **told)
    return _trained(prompt, best, asdict(settings), best_epoch(history, settings)), history


def _fit(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    train: Sequence[Item],
    dev: Sequence[Item],
    settings: Settings,
    dev_accuracy: Callable[[torch.Tensor], float] | None = None,
    on_vectors: Callable[[int, torch.Tensor], None] = lambda epoch, vectors: None,
    **told: Any,
) -> tuple[torch.Tensor, torch.Tensor, list[dict]]:
    """The loop on a copy of the prompt's vectors: the best ones, the last ones, the history; each epoch's go to ``on_vectors``."""
    examples, dev_examples = (encode(prompt.slot, items, frozen.context) for items in (train, dev))
    check_attention(frozen.network)
    vectors = _start(prompt, settings).to(frozen.device, copy=True).requires_grad_()
    trainable = prompt_vectors(frozen, prompt.slot, vectors, prompt.initial)
    accuracy = (lambda: dev_accuracy(vectors.detach())) if dev_accuracy else None
    told["before_save"] = lambda epoch: on_vectors(epoch, vectors)
    best, history = fit(trainable, examples, dev_examples, settings, dev_accuracy=accuracy, **told)
    return best["vectors"], vectors.detach(), history


def _start(prompt: PromptEmbedding, settings: Settings) -> torch.Tensor:
    """Where the loop starts, (k, d) float32: the prompt's vectors, displaced where the settings say so, each order anew."""
    return prompt.displaced(settings.initial_displacement, settings.displacement_seed, settings.seed)


def _trained(prompt: PromptEmbedding, vectors: torch.Tensor, settings: dict, epoch: int) -> PromptEmbedding:
    header = dict(prompt.header) | {"settings": settings, "best_epoch": epoch}
    return PromptEmbedding(vectors.cpu(), prompt.initial, prompt.slot, header)


def optimize_every_epoch(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    train: Sequence[Item],
    dev: Sequence[Item],
    settings: Settings,
    *,
    state: str | Path | None = None,
    on_epoch: Callable[[dict], None] = lambda line: None,
    log: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[int, str, int, int], None] = lambda epoch, part, done, total: None,
) -> tuple[list[torch.Tensor], list[dict]]:
    """Run all epochs, choose none, and keep what each of them made.

    Args:
        dev: whose loss the history shows; nothing is chosen by it, so that it may be any items.
        settings: ``patience`` and ``early_stop`` are not looked at.
        prompt, train, state, on_epoch, log, on_progress: of :func:`optimize`; the vectors lie beside ``state`` until the run is
            over (:func:`~embedgrad_core.training.every_epoch.kept_epochs`).

    Returns:
        (k, d) float32 vectors of each epoch on the CPU, the text's own first, and the history; an epoch that was stopped by a loss
        that is not finite is in neither.

    Raises:
        UserError: what :func:`optimize` refuses; a state whose vectors are gone.
    """
    kept = kept_epochs(state) if state else None
    found = load_epochs(kept) if kept and state and Path(state).exists() else {}
    all_epochs = replace(settings, patience=0, early_stop="dev_loss")

    def keep(epoch: int, vectors: torch.Tensor) -> None:
        found[epoch] = vectors.detach().float().cpu().clone()
        if kept:
            save_epochs(kept, found)

    told: dict[str, Any] = {"state": state, "on_epoch": on_epoch, "log": log, "on_progress": on_progress}
    _, _, history = _fit(frozen, prompt, train, dev, all_epochs, on_vectors=keep, **told)
    lines = [line for line in history if not line.get("stopped")]
    if gone := [line["epoch"] for line in lines if line["epoch"] not in found]:
        raise UserError(f"{kept}: lacks epoch {gone[0]}, which {state} goes on from; delete both to start anew.")
    return [found[line["epoch"]] for line in lines], lines


def optimize_across_folds(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    items: Sequence[Item],
    settings: Settings,
    folds: int,
    *,
    state: str | Path | None = None,
    on_epoch: Callable[[dict], None] = lambda line: None,
    log: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[int, str, int, int], None] = lambda epoch, part, done, total: None,
) -> tuple[PromptEmbedding, list[dict]]:
    """Optimise on all items, for as many epochs as are best on items left out: K-fold cross-validation of the epoch.

    For few items: a dev split of four would choose by luck. Each fold is left out once, the loop runs on the others for all epochs
    (``settings.patience`` is not looked at), and the epoch with the lowest dev loss over all left-out items is chosen; epoch 0, the
    text itself, is a candidate. Then the loop runs on all items for that many epochs, and its last vectors are the prompt.

    Args:
        items: train and dev together; never the test split.
        folds: 2 at least; no more than there are items.
        prompt, settings, state, on_epoch, log, on_progress: of :func:`optimize`; each fold resumes from a state of its own
            beside ``state``.

    Returns:
        The prompt, and a line per epoch: ``dev_loss`` over the left-out items of all folds, ``train_loss`` of the run on all items
        where it got so far, ``folds``.

    Raises:
        UserError: what :func:`optimize` refuses; fewer items than folds; an early stop by dev accuracy.
    """
    if settings.early_stop != "dev_loss":
        raise UserError("folds choose the epoch by dev loss; set early_stop to dev_loss, or folds to 0.")
    told: dict[str, Any] = {"on_epoch": on_epoch, "log": log, "on_progress": on_progress}
    parts = _folds(items, folds, settings.seed)
    histories = []
    for place, part in enumerate(parts, start=1):
        log(f"fold {place} of {folds}: {len(items) - len(part)} items to train on, {len(part)} left out")
        others = [item for other in parts if other is not part for item in other]
        own = fold_state(Path(state), place) if state else None
        _, history = optimize(frozen, prompt, others, part, replace(settings, patience=0), state=own, **told)
        histories.append(history)
    lines = _across(histories, [len(part) for part in parts])
    best = min(lines, key=lambda line: (line["dev_loss"], line["epoch"]))["epoch"]
    log(f"all {len(items)} items, {best} epochs: the lowest loss on items left out")
    vectors = _start(prompt, settings).clone()
    if best:
        whole = replace(settings, epochs=best, patience=0)
        kept, last, history = _fit(frozen, prompt, items, items, whole, state=state, **told)
        vectors = kept if history[-1].get("stopped") else last  # stopped, the last vectors are broken
        for line, last_run in zip(lines, history, strict=False):
            line |= {
                key: last_run[key] for key in ("train_loss", "gradient_norm", "drift", "stopped") if key in last_run
            }
    for line in lines:
        line |= {"best": line["epoch"] == best, "folds": folds}
    return _trained(prompt, vectors, asdict(settings) | {"folds": folds}, best), lines


def fold_state(state: Path, place: int) -> Path:
    """Where fold ``place`` (from 1) keeps its state."""
    return state.with_suffix(f".fold{place}{state.suffix}")


def _folds(items: Sequence[Item], folds: int, seed: int) -> list[list[Item]]:
    """Items dealt into folds, answer by answer, so that each has its share of every label; seeded."""
    if not 2 <= folds <= len(items):
        raise UserError(f"folds is {folds}; it must be 2 to the number of items, {len(items)}.")
    by_answer = defaultdict(list)
    for item in sorted(items, key=lambda item: item.id):
        by_answer[item.answer].append(item)
    chance, dealt = random.Random(seed), []
    for answer in sorted(by_answer):
        chance.shuffle(by_answer[answer])
        dealt += by_answer[answer]
    return [dealt[place::folds] for place in range(folds)]


def _across(histories: Sequence[Sequence[dict]], sizes: Sequence[int]) -> list[dict]:
    """A line per epoch that every fold came to: the dev loss over all left-out items."""
    reached = [[line for line in history if not line.get("stopped")] for history in histories]
    lines = []
    for epoch, same in enumerate(zip(*reached, strict=False)):
        total = math.fsum(line["dev_loss"] * size for line, size in zip(same, sizes, strict=True))
        lines.append({"epoch": epoch, "train_loss": None, "dev_loss": total / sum(sizes), "dev_accuracy": None})
        lines[-1]["seconds"] = round(math.fsum(line["seconds"] for line in same), 3)
    return lines
