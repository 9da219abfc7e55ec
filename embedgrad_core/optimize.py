"""Eq. 7: THE loop. Adam on the prompt's vectors, everything else frozen.

Resumable: after each epoch the whole state (vectors, Adam moments, best vectors, history) is renamed into place, and
the order of items depends on seed and epoch alone, so a killed run ends with the same bytes as an undisturbed one.
"""

import json
import math
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from contracts import Item, UserError, sha256_of_bytes, write_whole
from embedgrad_core.attention import check_attention
from embedgrad_core.model import FrozenModel
from embedgrad_core.objective import Example, encode
from embedgrad_core.prompt import PromptEmbedding
from embedgrad_core.step import TOKEN_BUDGET, Pieces, accumulate

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
        token_budget: tokens run through the model at a time; None is :data:`TOKEN_BUDGET`, or the longest item.
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
        if self.learning_rate <= 0 or self.epochs < 1 or self.batch_size < 1 or self.patience < 0:
            raise UserError("learning_rate, epochs and batch_size must be positive and patience not negative.")
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

    Returns:
        The best prompt by the early-stop rule, epoch 0 (the text itself) included, and the history.

    Raises:
        UserError: no items, an item that does not fit, a state file of another run.
    """
    if not train or not dev:
        raise UserError("optimisation needs at least one training and one dev item.")
    if settings.early_stop == "dev_accuracy" and dev_accuracy is None:
        raise UserError("early_stop dev_accuracy needs an evaluator.")
    examples = encode(prompt.slot, train, frozen.context)
    dev_examples = encode(prompt.slot, dev, frozen.context)
    check_attention(frozen.network)
    pieces = Pieces(settings.token_budget or TOKEN_BUDGET, settings.checkpointing, say)
    if settings.token_budget:
        pieces.check(prompt.slot, [*examples, *dev_examples])
    vectors = prompt.vectors.to(frozen.device, copy=True).requires_grad_()
    stepper = OPTIMIZERS[settings.optimizer]([vectors], lr=settings.learning_rate, weight_decay=settings.weight_decay)
    run = _fingerprint(frozen, prompt, examples, dev_examples, settings, dev_accuracy is not None)
    resumed = _load_state(state, run)
    if resumed is None:
        best, history = vectors.detach().clone(), []
    else:
        tensors, history = resumed
        best = tensors["best"].to(frozen.device)
        _restore(stepper, vectors, tensors)
    while not _is_over(history, settings):
        epoch = len(history)
        started = time.perf_counter()
        passed = _train_epoch(frozen, prompt, vectors, stepper, examples, settings, epoch, pieces) if epoch else {}
        if passed.get("stopped"):
            # The vectors may be spoilt; what was best before stays.
            line = {"epoch": epoch, **passed}
        else:
            line = {
                "epoch": epoch,
                "train_loss": passed.get("train_loss"),
                "dev_loss": mean_loss(frozen, prompt, vectors, dev_examples, pieces),
                "dev_accuracy": dev_accuracy(vectors.detach()) if dev_accuracy else None,
                "gradient_norm": passed.get("gradient_norm"),
                "drift": _drift(vectors, prompt),
            }
        seconds = time.perf_counter() - started
        line["tokens_per_s"] = round(passed["tokens"] / seconds, 1) if "tokens" in passed else None
        line.pop("tokens", None)
        line |= {"seconds": round(seconds, 3), "peak_memory_bytes": peak_memory_bytes(frozen)}
        history.append(line)
        line["best"] = best_epoch(history, settings) == epoch
        if line["best"]:
            best = vectors.detach().clone()
        _save_state(state, run, stepper, vectors, best, history)
        log(line)
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
) -> dict:
    """One pass over the training items; gradient of the sum of Eq. 6, divided by the items of the batch."""
    shuffler = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
    order = torch.randperm(len(examples), generator=shuffler).tolist()
    total, tokens, norms = 0.0, 0, []
    for start in range(0, len(order), settings.batch_size):
        batch = [examples[index] for index in order[start : start + settings.batch_size]]
        stepper.zero_grad()
        value, targets = accumulate(frozen, prompt.slot, vectors, batch, pieces)
        vectors.grad.div_(len(batch) if settings.loss_reduction == "item_sum" else targets)
        norm = float(vectors.grad.norm())
        if not (math.isfinite(value) and math.isfinite(norm)):
            return {"stopped": f"loss {value} or gradient {norm} is not finite at item {batch[0].id}"}
        stepper.step()
        total += value
        norms.append(norm)
        tokens += sum(example.length for example in batch)
    return {"train_loss": total / len(examples), "gradient_norm": sum(norms) / len(norms), "tokens": tokens}


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
    """Peak memory so far: of the card where there is one, else of the process."""
    if frozen.device.type == "cuda":
        return torch.cuda.max_memory_allocated(frozen.device)
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


def _save_state(
    path: str | Path | None,
    run: str,
    stepper: torch.optim.Optimizer,
    vectors: torch.Tensor,
    best: torch.Tensor,
    history: list[dict],
) -> None:
    if path is None:
        return
    tensors = {"vectors": vectors.detach(), "best": best, **stepper.state.get(vectors, {})}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    metadata = {"embedgrad": json.dumps({"run": run, "history": history}, allow_nan=False)}
    with write_whole(path) as temporary:
        save_file({name: tensor.cpu().clone() for name, tensor in tensors.items()}, temporary, metadata=metadata)


def _load_state(path: str | Path | None, run: str) -> tuple[dict[str, torch.Tensor], list[dict]] | None:
    if path is None or not Path(path).exists():
        return None
    try:
        with safe_open(path, framework="pt") as source:
            tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118 (not a mapping)
            saved = json.loads(source.metadata()["embedgrad"])
        found = saved["run"], saved["history"]
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(
            f"{path}: unreadable resume state ({error}); delete it to start the optimisation anew."
        ) from None
    if found[0] != run:
        raise UserError(
            f"{path}: this resume state belongs to another model, data or setting; delete it to start anew."
        )
    return tensors, found[1]


def _restore(stepper: torch.optim.Optimizer, vectors: torch.Tensor, tensors: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        vectors.copy_(tensors["vectors"])
    moments = {name: tensors[name] for name in ("step", "exp_avg", "exp_avg_sq") if name in tensors}
    if moments:
        stepper.load_state_dict({"state": {0: moments}, "param_groups": stepper.state_dict()["param_groups"]})
