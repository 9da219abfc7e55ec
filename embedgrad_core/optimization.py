"""Eq. 7: THE loop. Adam on the prompt's vectors, everything else frozen.

Resumable (:mod:`embedgrad_core.resume`): the state is saved after each epoch, and after the last whole step when the run is
interrupted; the order of items depends on seed and epoch alone, so a killed run ends with the same bytes as an undisturbed one.
"""

import json
import math
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from embedgrad_core.files import Item, UserError, is_number, sha256_of_bytes
from embedgrad_core.model.attention import check_attention
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.objective import Example, encode
from embedgrad_core.prompt import PromptEmbedding
from embedgrad_core.resume import Passed, Snapshot, load_state, save_state
from embedgrad_core.step import Pieces, accumulate

# Mean relative displacement at which a run counts as exploded: no word's embedding lies a thousand lengths from another's.
MAX_DRIFT = 1000.0
MAX_SEED = 10**12  # times the stride between two seeds' epochs it still fits 64 bits
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of one optimisation.

    Attributes:
        learning_rate: Adam's; the paper: 0.01 for 1.5B, 0.001 from 7B.
        epochs: at most so many passes over the training items; the paper: 5-10.
        batch_size: items a step.
        seed: of the order of items.
        optimizer: ``adam``, ``adamw`` or ``sgd``.
        weight_decay: 0 unless asked for: decay pulls to zero, which is away from the anchor.
        loss_reduction: ``item_sum`` is Eq. 6, summed over target tokens, averaged over the batch's items;
            ``token_mean`` averages over the batch's target tokens.
        early_stop: ``dev_loss`` or ``dev_accuracy`` (ties broken by loss): what "best" means.
        patience: epochs without a better one before stopping; 0 never stops early but still keeps the best.
        token_budget: tokens run through the model at a time; None is :meth:`~embedgrad_core.FrozenModel.tokens_in_flight`, or the
            longest item.
        checkpointing: compute activations again in the backward pass instead of keeping them (7B-14B).
    """

    learning_rate: float = 0.01
    epochs: int = 10
    batch_size: int = 8
    seed: int = 0
    optimizer: str = "adam"
    weight_decay: float = 0.0
    loss_reduction: str = "item_sum"
    early_stop: str = "dev_loss"
    patience: int = 3
    token_budget: int | None = None
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.early_stop not in ("dev_loss", "dev_accuracy"):
            raise UserError(f"early_stop is {self.early_stop!r}; it must be dev_loss or dev_accuracy.")
        if self.optimizer not in OPTIMIZERS:
            raise UserError(f"optimizer is {self.optimizer!r}; it must be one of {', '.join(OPTIMIZERS)}.")
        if self.loss_reduction not in ("item_sum", "token_mean"):
            raise UserError(f"loss_reduction is {self.loss_reduction!r}; it must be item_sum or token_mean.")
        for name in ("learning_rate", "weight_decay"):
            if not is_number(value := getattr(self, name)) and not isinstance(value, float):
                raise UserError(f"{name} is {value!r}; it must be a number.")
        for name in ("epochs", "batch_size", "patience", "seed", "token_budget"):
            value = getattr(self, name)
            if (isinstance(value, bool) or not isinstance(value, int)) and (name, value) != ("token_budget", None):
                raise UserError(f"{name} is {value!r}; it must be a whole number.")
        # Said so that nan, which is smaller and larger than nothing, is refused with the rest.
        if not 0 < self.learning_rate < math.inf:
            raise UserError(f"learning_rate is {self.learning_rate}; it must be a positive number.")
        if not 0 <= self.weight_decay < math.inf:
            raise UserError(f"weight_decay is {self.weight_decay}; it must be 0 or a positive number.")
        if self.epochs < 1 or self.batch_size < 1 or self.patience < 0:
            raise UserError("epochs and batch_size must be positive and patience not negative.")
        if not 0 <= self.seed <= MAX_SEED:
            raise UserError(f"seed is {self.seed}; it must be a whole number from 0 to {MAX_SEED}.")
        if self.token_budget is not None and self.token_budget < 1:
            raise UserError(f"token_budget is {self.token_budget}; it must be a positive number of tokens.")


def optimize(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    train: Sequence[Item],
    dev: Sequence[Item],
    settings: Settings,
    *,
    dev_accuracy: Callable[[torch.Tensor], float] | None = None,
    state: str | Path | None = None,
    log: Callable[[dict], None] = lambda line: None,
    say: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[int, str, int, int], None] = lambda epoch, part, done, total: None,
) -> tuple[PromptEmbedding, list[dict]]:
    """Optimise a prompt's vectors on labelled items.

    Args:
        frozen: the frozen model.
        prompt: where to start; not changed.
        train: items of Eq. 7.
        dev: items for early stopping; never the test split.
        settings: hyperparameters.
        dev_accuracy: (k, d) vectors → accuracy on dev by decoding and grading; None leaves it out of the history.
        state: file for resuming; a state of other settings, data or model is refused.
        log: called with each history line: epoch, train_loss and dev_loss (nats an item), dev_accuracy, gradient_norm
            (mean over steps), drift (mean relative displacement), tokens_per_s, seconds, peak_memory_bytes, best.
        say: where to report that memory ran out and the work goes on in smaller pieces.
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
    pieces = Pieces(
        settings.token_budget or frozen.tokens_in_flight(settings.checkpointing), settings.checkpointing, say
    )
    if settings.token_budget:
        pieces.check(prompt.slot, [*examples, *dev_examples])
    vectors = prompt.vectors.to(frozen.device, copy=True).requires_grad_()
    stepper = OPTIMIZERS[settings.optimizer]([vectors], lr=settings.learning_rate, weight_decay=settings.weight_decay)
    run = _fingerprint(frozen, prompt, examples, dev_examples, settings, dev_accuracy is not None)
    best, history, passed = vectors.detach().clone(), [], Passed()
    if resumed := load_state(state, run, vectors):
        best, history, passed = resumed.restore(stepper, vectors)
    snapshot: Snapshot | None = None  # of the last whole step since the state was saved

    def keep(after: Passed) -> None:
        nonlocal snapshot
        snapshot = Snapshot.take(stepper, vectors, best, history, after)

    def count(epoch: int, part: str, total: int, done: int = 0) -> None:
        """From now on the items of each piece belong to this part of the epoch."""

        def further(items: int) -> None:
            nonlocal done
            done += items
            on_progress(epoch, part, done, total)

        pieces.on_items = further
        on_progress(epoch, part, done, total)

    try:
        while not _is_over(history, settings):
            epoch = len(history)
            started = time.perf_counter() - passed.seconds
            if epoch:
                count(epoch, "train", len(examples), min(passed.steps * settings.batch_size, len(examples)))
                passed = _train_epoch(frozen, prompt, vectors, stepper, examples, settings, epoch, pieces, passed, keep)
            dev_loss = None
            if not passed.stopped:
                count(epoch, "dev loss", len(dev_examples))
                dev_loss = mean_loss(frozen, prompt, vectors, dev_examples, pieces)
            if dev_loss is not None and not math.isfinite(dev_loss):
                if not epoch:
                    raise UserError(
                        f"the loss of the text prompt on dev is {dev_loss}: the model does not compute with it in "
                        f"{str(frozen.dtype).removeprefix('torch.')}; try --dtype float32, or look for a broken checkpoint."
                    )
                passed = replace(passed, stopped=f"loss {dev_loss} on dev is not finite")
            if passed.stopped:
                # The vectors may be spoilt; what was best before stays.
                line = {"epoch": epoch, "stopped": passed.stopped}
            else:
                line = {
                    "epoch": epoch,
                    "train_loss": passed.loss / len(examples) if epoch else None,
                    "dev_loss": dev_loss,
                    "dev_accuracy": dev_accuracy(vectors.detach()) if dev_accuracy else None,
                    "gradient_norm": passed.norms / passed.steps if epoch else None,
                    "drift": _drift(vectors, prompt),
                }
            seconds = time.perf_counter() - started
            line["tokens_per_s"] = round(passed.tokens / seconds, 1) if epoch and not passed.stopped else None
            line |= {"seconds": round(seconds, 3), "peak_memory_bytes": peak_memory_bytes(frozen)}
            history = [*history, line]
            line["best"] = best_epoch(history, settings) == epoch
            if line["best"]:
                best = vectors.detach().clone()
            passed = Passed()
            save_state(state, run, Snapshot.take(stepper, vectors, best, history, passed))
            snapshot = None
            log(line)
    except KeyboardInterrupt:
        if snapshot is not None:
            save_state(state, run, snapshot)
        elif history:  # between two epochs; the last one is saved
            snapshot = Snapshot.take(stepper, vectors, best, history, passed)
        if snapshot is not None and state:
            say(f"interrupted: {snapshot.passed.steps} steps of epoch {len(snapshot.history)} are saved")
        raise
    trained = PromptEmbedding(best.cpu(), prompt.initial, prompt.slot, dict(prompt.header))
    trained.header["settings"] = asdict(settings)
    trained.header["best_epoch"] = best_epoch(history, settings)
    return trained, history


def _train_epoch(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    vectors: torch.Tensor,
    stepper: torch.optim.Optimizer,
    examples: Sequence[Example],
    settings: Settings,
    epoch: int,
    pieces: Pieces,
    passed: Passed,
    keep: Callable[[Passed], None],
) -> Passed:
    """The rest of one pass over the training items; gradient of the sum of Eq. 6, divided by the items of the batch."""
    shuffler = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
    order = torch.randperm(len(examples), generator=shuffler).tolist()
    started = time.perf_counter() - passed.seconds
    for start in range(passed.steps * settings.batch_size, len(order), settings.batch_size):
        batch = [examples[index] for index in order[start : start + settings.batch_size]]
        stepper.zero_grad()
        value, targets = accumulate(frozen, prompt.slot, vectors, batch, pieces)
        vectors.grad.div_(len(batch) if settings.loss_reduction == "item_sum" else targets)
        norm = float(vectors.grad.norm())
        if not (math.isfinite(value) and math.isfinite(norm)):
            return replace(passed, stopped=f"loss {value} or gradient {norm} is not finite at item {batch[0].id}")
        stepper.step()
        tokens = sum(example.length for example in batch)
        passed = passed.after(value, norm, tokens, time.perf_counter() - started)
        keep(passed)
    if not (drift := _drift(vectors, prompt)) <= MAX_DRIFT:
        told = f"the vectors have moved {drift:.3g} times their length on average, more than {MAX_DRIFT:g}"
        return replace(passed, stopped=told)
    return passed


@torch.no_grad()
def mean_loss(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    vectors: torch.Tensor,
    examples: Sequence[Example],
    pieces: Pieces | None = None,
) -> float:
    """Eq. 6 averaged over items, nats an item."""
    return accumulate(frozen, prompt.slot, vectors, examples, pieces or Pieces())[0] / len(examples)


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


def peak_memory_bytes(frozen: FrozenModel) -> int:
    """Peak memory so far: of the fullest card where there is one, else of the process."""
    if frozen.device.type == "cuda":
        cards = range(torch.cuda.device_count()) if frozen.is_divided else [frozen.device]
        return max(torch.cuda.max_memory_allocated(card) for card in cards)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
