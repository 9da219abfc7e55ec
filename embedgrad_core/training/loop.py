"""THE loop of Eq. 7: an optimizer on a few leaves, everything else frozen; the same lines for the prompt and for every rival.

Resumable (:mod:`embedgrad_core.training.resume`): the state is saved after each epoch, and after the last whole step when the run
is interrupted; the order of items depends on seed and epoch alone, so a killed run ends with the same bytes as an undisturbed one.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from embedgrad_core.files import UserError, sha256_of_bytes
from embedgrad_core.model.memory import peak_memory_bytes
from embedgrad_core.objective import Example
from embedgrad_core.training.resume import EpochProgress, Snapshot, load_state, save_state
from embedgrad_core.training.settings import Settings
from embedgrad_core.training.step import MicroBatching, accumulate
from embedgrad_core.training.trainable import Trainable

# Mean relative displacement at which a run counts as exploded: no word's embedding lies a thousand lengths from another's.
MAX_DRIFT = 1000.0
# After each step a snapshot is taken, the one before it let go only then; up to this many bytes for both. Of more, an interruption
# goes back to the epoch before. Prompts take kilobytes, LoRA megabytes; all weights of a model with their moments gigabytes.
SNAPSHOTS = 10**9
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def fit(
    trainable: Trainable,
    train: Sequence[Example],
    dev: Sequence[Example],
    settings: Settings,
    *,
    dev_accuracy: Callable[[], float] | None = None,
    item_losses: bool = False,
    state: str | Path | None = None,
    before_save: Callable[[int], None] = lambda epoch: None,
    on_epoch: Callable[[dict], None] = lambda line: None,
    log: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[int, str, int, int], None] = lambda epoch, part, done, total: None,
) -> tuple[dict[str, torch.Tensor], list[dict]]:
    """Train the leaves on labelled examples.

    Args:
        trainable: the leaves, changed in place, and the loss.
        train: encoded items of Eq. 7.
        dev: encoded items for early stopping; never the test split.
        settings: hyperparameters.
        dev_accuracy: the accuracy of the leaves as they are, on dev, by decoding and grading; None leaves it out of the history.
        item_losses: read dev item by item, and keep each one's loss (``dev_losses``), so that what is best on dev can be resampled.
        state: file for resuming; a state of other settings, data or model is refused.
        before_save: called at the end of each epoch before its state is saved, the leaves being what it made of them: what is kept
            there is there for every epoch that a resumed run does not repeat.
        on_epoch: called with each history line: epoch, train_loss and dev_loss (nats per item), dev_accuracy, gradient_norm
            (mean over steps), drift (relative displacement), tokens_per_s, seconds, train_seconds (of the steps alone),
            train_cpu_seconds (the same, of all threads of this process), train_tokens (of the steps' items), peak_memory_bytes,
            best.
        log: where to report that memory ran out and the work goes on in smaller batching.
        on_progress: called with epoch, ``train`` or ``dev loss``, and the items of it done so far and in all.

    Returns:
        The best leaves by the early-stop rule, epoch 0 (before any step) included, and the history.

    Raises:
        UserError: no items, a state file of another run, a loss that is not finite before the first step.
        KeyboardInterrupt: passed on after the state was saved.
    """
    if not train or not dev:
        raise UserError("optimisation needs at least one training and one dev item.")
    if settings.early_stop == "dev_accuracy" and dev_accuracy is None:
        raise UserError("early_stop dev_accuracy needs an evaluator.")
    frozen = trainable.frozen
    leaves = list(trainable.leaves.values())
    batching = MicroBatching(
        settings.token_budget or frozen.tokens_in_flight(settings.checkpointing), settings.checkpointing, log
    )
    if settings.token_budget:
        batching.check(trainable.shared, [*train, *dev])
    optimizer = OPTIMIZERS[settings.optimizer](leaves, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    run = _fingerprint(trainable, train, dev, settings, dev_accuracy is not None)
    history: list[dict] = []
    progress = EpochProgress()
    if resumed := load_state(state, run, trainable):
        best, history, progress = resumed.restore(optimizer, trainable)
        resumed = None
    else:
        best = {name: leaf.detach().clone() for name, leaf in trainable.leaves.items()}
    snapshot: Snapshot | None = None  # of the last whole step since the state was saved
    # Twice the leaves, the best of them, and at most two moments.
    keeps_steps = 2 * 4 * sum(leaf.numel() * leaf.element_size() for leaf in leaves) <= SNAPSHOTS

    def keep(after: EpochProgress) -> None:
        nonlocal snapshot
        if keeps_steps:
            snapshot = Snapshot.take(optimizer, trainable, best, history, after)

    def count(epoch: int, part: str, total: int, done: int = 0) -> None:
        """From now on the items of each micro-batch belong to this part of the epoch."""

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
                count(epoch, "train", len(train), min(progress.steps * settings.batch_size, len(train)))
                progress = _train_epoch(trainable, optimizer, train, settings, epoch, batching, progress, keep)
            dev_loss, dev_losses = None, None
            if not progress.stopped:
                count(epoch, "dev loss", len(dev))
                if item_losses:
                    dev_losses = [mean_loss(trainable, [one], batching) for one in dev]
                    dev_loss = math.fsum(dev_losses) / len(dev_losses)
                else:
                    dev_loss = mean_loss(trainable, dev, batching)
            if dev_loss is not None and not math.isfinite(dev_loss):
                if not epoch:
                    raise UserError(
                        f"the loss on dev is {dev_loss} before the first step: the model does not compute with it in "
                        f"{str(frozen.dtype).removeprefix('torch.')}; try --dtype float32, or look for a broken checkpoint."
                    )
                progress = replace(progress, stopped=f"loss {dev_loss} on dev is not finite")
            if progress.stopped:
                # The leaves may be broken; the best ones so far stay.
                line = {"epoch": epoch, "stopped": progress.stopped}
            else:
                line = {
                    "epoch": epoch,
                    "train_loss": progress.loss / len(train) if epoch else None,
                    "dev_loss": dev_loss,
                    "dev_accuracy": dev_accuracy() if dev_accuracy else None,
                    "gradient_norm": progress.norms / progress.steps if epoch else None,
                    "drift": trainable.drift(),
                }
                if dev_losses:
                    line["dev_losses"] = dev_losses
                if epoch and not trainable.may_win(_steps_before(train, settings, epoch + 1)):
                    line["may_win"] = False
            seconds = time.perf_counter() - started
            line["tokens_per_s"] = round(progress.tokens / seconds, 1) if epoch and not progress.stopped else None
            line |= {"seconds": round(seconds, 3), "train_seconds": round(progress.seconds, 3)}
            line |= {"train_cpu_seconds": round(progress.cpu_seconds, 3), "train_tokens": progress.tokens}
            line["peak_memory_bytes"] = peak_memory_bytes(frozen)
            history = [*history, line]
            line["best"] = best_epoch(history, settings) == epoch
            if line["best"]:
                with torch.no_grad():
                    for name, leaf in trainable.leaves.items():
                        best[name].copy_(leaf)
            progress = EpochProgress()
            before_save(epoch)
            snapshot = None
            if state:
                save_state(state, run, Snapshot.take(optimizer, trainable, best, history, progress, copy=False))
            on_epoch(line)
    except KeyboardInterrupt:
        if snapshot is not None:
            save_state(state, run, snapshot)
            progress = snapshot.progress
        if state and (snapshot is not None or history):
            log(f"interrupted: {progress.steps} steps of epoch {len(history)} are saved")
        raise
    return best, history


def _steps_before(train: Sequence[Example], settings: Settings, epoch: int) -> int:
    """Steps of the epochs 1 … ``epoch`` − 1."""
    return (epoch - 1) * math.ceil(len(train) / settings.batch_size)


def _train_epoch(
    trainable: Trainable,
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
    started, cpu = time.perf_counter() - progress.seconds, time.process_time() - progress.cpu_seconds
    before = _steps_before(examples, settings, epoch)
    for start in range(progress.steps * settings.batch_size, len(order), settings.batch_size):
        batch = [examples[index] for index in order[start : start + settings.batch_size]]
        optimizer.zero_grad()
        value, targets = accumulate(trainable, batch, batching)
        gradients = [
            leaf.grad.div_(len(batch) if settings.loss_reduction == "item_sum" else targets)
            for leaf in trainable.leaves.values()
            if leaf.grad is not None
        ]
        norm = math.hypot(*torch.stack([gradient.norm() for gradient in gradients]).tolist())
        if not (math.isfinite(value) and math.isfinite(norm)):
            return replace(progress, stopped=f"loss {value} or gradient {norm} is not finite at item {batch[0].id}")
        optimizer.step()
        trainable.after_step(before + progress.steps + 1)
        tokens = sum(example.length for example in batch)
        spent = time.perf_counter() - started, time.process_time() - cpu
        progress = progress.after(value, norm, tokens, *spent)
        keep(progress)
    if not (drift := trainable.drift()) <= MAX_DRIFT:
        message = f"the vectors have moved {drift:.3g} times their length on average, more than {MAX_DRIFT:g}"
        return replace(progress, stopped=message)
    return progress


@torch.no_grad()
def mean_loss(trainable: Trainable, examples: Sequence[Example], batching: MicroBatching | None = None) -> float:
    """Eq. 6 averaged over items, nats per item."""
    return accumulate(trainable, examples, batching or MicroBatching())[0] / len(examples)


def best_epoch(history: Sequence[dict], settings: Settings) -> int:
    """The epoch whose leaves are kept: best on dev, the earliest of equals."""

    def rank(line: dict) -> tuple[float, float]:
        accuracy = line["dev_accuracy"] if settings.early_stop == "dev_accuracy" else 0.0
        return (-accuracy, line["dev_loss"])

    candidates = (line for line in history if not line.get("stopped") and line.get("may_win", True))
    return min(candidates, key=rank)["epoch"]


def _is_over(history: Sequence[dict], settings: Settings) -> bool:
    if not history:
        return False
    # Epochs that could not win are no reason to stop before one can.
    waited = history[-1]["epoch"] - max(
        [best_epoch(history, settings), *(line["epoch"] for line in history if not line.get("may_win", True))]
    )
    out_of_patience = settings.patience > 0 and waited >= settings.patience
    return bool(history[-1].get("stopped")) or len(history) > settings.epochs or out_of_patience


def _fingerprint(
    trainable: Trainable, train: Sequence[Example], dev: Sequence[Example], settings: Settings, with_accuracy: bool
) -> str:
    """Hash of all that a resumed run must share with the one that was killed."""
    # Where the leaves start is part of their identity; states of versions that could not displace it stay good.
    started = {key: value for key, value in asdict(settings).items() if "displacement" not in key}
    parts = [
        trainable.frozen.resolved,
        str(trainable.frozen.dtype),
        *trainable.identity,
        started,
        with_accuracy,
        [(example.id, example.body, example.target) for example in (*train, *dev)],
        torch.__version__,
    ]
    return sha256_of_bytes(json.dumps(parts, sort_keys=True).encode())
