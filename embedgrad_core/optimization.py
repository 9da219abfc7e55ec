"""Eq. 7: THE loop. Adam on the prompt's vectors, everything else frozen.

Resumable (:mod:`embedgrad_core.resume`): the state is saved after each epoch, and after the last whole step when the run is
interrupted; the order of items depends on seed and epoch alone, so a killed run ends with the same bytes as an undisturbed one.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from embedgrad_core.files import Item, UserError, sha256_of_bytes
from embedgrad_core.model.attention import check_attention
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.model.memory import peak_memory_bytes
from embedgrad_core.objective import Example, encode
from embedgrad_core.prompt import PromptEmbedding
from embedgrad_core.resume import EpochProgress, Snapshot, load_state, save_state
from embedgrad_core.settings import Settings
from embedgrad_core.step import MicroBatching, accumulate

# Mean relative displacement at which a run counts as exploded: no word's embedding lies a thousand lengths from another's.
MAX_DRIFT = 1000.0
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


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
        on_epoch: called with each history line: epoch, train_loss and dev_loss (nats per item), dev_accuracy, gradient_norm
            (mean over steps), drift (mean relative displacement), tokens_per_s, seconds, peak_memory_bytes, best.
        log: where to report that memory ran out and the work goes on in smaller batching.
        on_progress: called with epoch, ``train`` or ``dev loss``, and the items of it done so far and in all.

    Returns:
        The best prompt by the early-stop rule, epoch 0 (the text itself) included, and the history.

    Raises:
        UserError: no items, an item that does not fit, a state file of another run, a text prompt whose loss is not finite.
        KeyboardInterrupt: passed on after the state was saved.
    """
    if not train or not dev:
        raise UserError("optimisation needs at least one training and one dev item.")
    if settings.early_stop == "dev_accuracy" and dev_accuracy is None:
        raise UserError("early_stop dev_accuracy needs an evaluator.")
    examples = encode(prompt.slot, train, frozen.context)
    dev_examples = encode(prompt.slot, dev, frozen.context)
    check_attention(frozen.network)
    batching = MicroBatching(
        settings.token_budget or frozen.tokens_in_flight(settings.checkpointing), settings.checkpointing, log
    )
    if settings.token_budget:
        batching.check(prompt.slot, [*examples, *dev_examples])
    vectors = prompt.vectors.to(frozen.device, copy=True).requires_grad_()
    optimizer = OPTIMIZERS[settings.optimizer]([vectors], lr=settings.learning_rate, weight_decay=settings.weight_decay)
    run = _fingerprint(frozen, prompt, examples, dev_examples, settings, dev_accuracy is not None)
    best, progress = vectors.detach().clone(), EpochProgress()
    history: list[dict] = []
    if resumed := load_state(state, run, vectors):
        best, history, progress = resumed.restore(optimizer, vectors)
    snapshot: Snapshot | None = None  # of the last whole step since the state was saved

    def keep(after: EpochProgress) -> None:
        nonlocal snapshot
        snapshot = Snapshot.take(optimizer, vectors, best, history, after)

    def count(epoch: int, part: str, total: int, done: int = 0) -> None:
        """From now on the items of each micro_batch belong to this part of the epoch."""

        def further(items: int) -> None:
            nonlocal done
            done += items
            on_progress(epoch, part, done, total)

        batching.on_items = further
        on_progress(epoch, part, done, total)

    try:
        while not _is_over(history, settings):
            epoch = len(history)
            started = time.perf_counter() - progress.seconds
            if epoch:
                count(epoch, "train", len(examples), min(progress.steps * settings.batch_size, len(examples)))
                progress = _train_epoch(
                    frozen, prompt, vectors, optimizer, examples, settings, epoch, batching, progress, keep
                )
            dev_loss = None
            if not progress.stopped:
                count(epoch, "dev loss", len(dev_examples))
                dev_loss = mean_loss(frozen, prompt, vectors, dev_examples, batching)
            if dev_loss is not None and not math.isfinite(dev_loss):
                if not epoch:
                    raise UserError(
                        f"the loss of the text prompt on dev is {dev_loss}: the model does not compute with it in "
                        f"{str(frozen.dtype).removeprefix('torch.')}; try --dtype float32, or look for a broken checkpoint."
                    )
                progress = replace(progress, stopped=f"loss {dev_loss} on dev is not finite")
            if progress.stopped:
                # The vectors may be broken; the best ones so far stay.
                line = {"epoch": epoch, "stopped": progress.stopped}
            else:
                line = {
                    "epoch": epoch,
                    "train_loss": progress.loss / len(examples) if epoch else None,
                    "dev_loss": dev_loss,
                    "dev_accuracy": dev_accuracy(vectors.detach()) if dev_accuracy else None,
                    "gradient_norm": progress.norms / progress.steps if epoch else None,
                    "drift": _drift(vectors, prompt),
                }
            seconds = time.perf_counter() - started
            line["tokens_per_s"] = round(progress.tokens / seconds, 1) if epoch and not progress.stopped else None
            line |= {"seconds": round(seconds, 3), "peak_memory_bytes": peak_memory_bytes(frozen)}
            history = [*history, line]
            line["best"] = best_epoch(history, settings) == epoch
            if line["best"]:
                best = vectors.detach().clone()
            progress = EpochProgress()
            save_state(state, run, Snapshot.take(optimizer, vectors, best, history, progress))
            snapshot = None
            on_epoch(line)
    except KeyboardInterrupt:
        if snapshot is not None:
            save_state(state, run, snapshot)
        elif history:  # between two epochs; the last one is saved
            snapshot = Snapshot.take(optimizer, vectors, best, history, progress)
        if snapshot is not None and state:
            log(f"interrupted: {snapshot.progress.steps} steps of epoch {len(snapshot.history)} are saved")
        raise
    trained = PromptEmbedding(best.cpu(), prompt.initial, prompt.slot, dict(prompt.header))
    trained.header["settings"] = asdict(settings)
    trained.header["best_epoch"] = best_epoch(history, settings)
    return trained, history


def _train_epoch(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    vectors: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    examples: Sequence[Example],
    settings: Settings,
    epoch: int,
    batching: MicroBatching,
    progress: EpochProgress,
    keep: Callable[[EpochProgress], None],
) -> EpochProgress:
    """The rest of one pass over the training items; gradient of the sum of Eq. 6, divided by the items of the batch."""
    shuffler = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
    order = torch.randperm(len(examples), generator=shuffler).tolist()
    started = time.perf_counter() - progress.seconds
    for start in range(progress.steps * settings.batch_size, len(order), settings.batch_size):
        batch = [examples[index] for index in order[start : start + settings.batch_size]]
        optimizer.zero_grad()
        value, targets = accumulate(frozen, prompt.slot, vectors, batch, batching)
        vectors.grad.div_(len(batch) if settings.loss_reduction == "item_sum" else targets)
        norm = float(vectors.grad.norm())
        if not (math.isfinite(value) and math.isfinite(norm)):
            return replace(progress, stopped=f"loss {value} or gradient {norm} is not finite at item {batch[0].id}")
        optimizer.step()
        tokens = sum(example.length for example in batch)
        progress = progress.after(value, norm, tokens, time.perf_counter() - started)
        keep(progress)
    if not (drift := _drift(vectors, prompt)) <= MAX_DRIFT:
        message = f"the vectors have moved {drift:.3g} times their length on average, more than {MAX_DRIFT:g}"
        return replace(progress, stopped=message)
    return progress


@torch.no_grad()
def mean_loss(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    vectors: torch.Tensor,
    examples: Sequence[Example],
    batching: MicroBatching | None = None,
) -> float:
    """Eq. 6 averaged over items, nats per item."""
    return accumulate(frozen, prompt.slot, vectors, examples, batching or MicroBatching())[0] / len(examples)


def best_epoch(history: Sequence[dict], settings: Settings) -> int:
    """The epoch whose vectors are kept: best on dev, the earliest of equals."""

    def rank(line: dict) -> tuple[float, float]:
        accuracy = line["dev_accuracy"] if settings.early_stop == "dev_accuracy" else 0.0
        return (-accuracy, line["dev_loss"])

    return min((line for line in history if not line.get("stopped")), key=rank)["epoch"]


def _is_over(history: Sequence[dict], settings: Settings) -> bool:
    if not history:
        return False
    waited = history[-1]["epoch"] - best_epoch(history, settings)
    out_of_patience = settings.patience > 0 and waited >= settings.patience
    return bool(history[-1].get("stopped")) or len(history) > settings.epochs or out_of_patience


def _drift(vectors: torch.Tensor, prompt: PromptEmbedding) -> float:
    moved = PromptEmbedding(vectors.detach().cpu(), prompt.initial, prompt.slot)
    return float(moved.drift.mean())


def _fingerprint(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    train: Sequence[Example],
    dev: Sequence[Example],
    settings: Settings,
    with_accuracy: bool,
) -> str:
    """Hash of all that a resumed run must share with the one that was killed."""
    parts = [
        frozen.resolved,
        str(frozen.dtype),
        prompt.slot.header(),
        prompt.slot.prompt_ids,
        sha256_of_bytes(prompt.vectors.numpy().tobytes()),
        asdict(settings),
        with_accuracy,
        [(example.id, example.body, example.target) for example in (*train, *dev)],
        torch.__version__,
    ]
    return sha256_of_bytes(json.dumps(parts, sort_keys=True).encode())
