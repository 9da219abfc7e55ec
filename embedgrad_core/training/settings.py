"""Hyperparameters of an optimisation, checked when they are made. Needs no torch."""

import math
from dataclasses import dataclass

from embedgrad_core.files import UserError, is_number

OPTIMIZERS = ("adam", "adamw", "sgd")
# Fewer items on dev than this choose an epoch by luck.
SMALL_DEV = 20
MAX_SEED = 10**12  # times the stride between two seeds' epochs it still fits 64 bits


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of one optimisation.

    Attributes:
        learning_rate: Adam's; the paper: 0.01 for 1.5B, 0.001 from 7B.
        epochs: the most passes over the training items; the paper: 5-10.
        batch_size: items per step.
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
        initial_displacement: how far from the text's embeddings the vectors start, relative to their mean length
            (:meth:`~embedgrad_core.PromptEmbedding.displaced`); 0 is the paper's: the text itself.
        displacement_seed: of that displacement, together with ``seed``.
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
    initial_displacement: float = 0.0
    displacement_seed: int = 0

    def __post_init__(self) -> None:
        if self.early_stop not in ("dev_loss", "dev_accuracy"):
            raise UserError(f"early_stop is {self.early_stop!r}; it must be dev_loss or dev_accuracy.")
        if self.optimizer not in OPTIMIZERS:
            raise UserError(f"optimizer is {self.optimizer!r}; it must be one of {', '.join(OPTIMIZERS)}.")
        if self.loss_reduction not in ("item_sum", "token_mean"):
            raise UserError(f"loss_reduction is {self.loss_reduction!r}; it must be item_sum or token_mean.")
        for name in ("learning_rate", "weight_decay", "initial_displacement"):
            if not is_number(value := getattr(self, name)) and not isinstance(value, float):
                raise UserError(f"{name} is {value!r}; it must be a number.")
        for name in ("epochs", "batch_size", "patience", "seed", "displacement_seed", "token_budget"):
            value = getattr(self, name)
            if (isinstance(value, bool) or not isinstance(value, int)) and (name, value) != ("token_budget", None):
                raise UserError(f"{name} is {value!r}; it must be a whole number.")
        # Written so that nan, which is smaller and larger than nothing, is refused with the rest.
        if not 0 < self.learning_rate < math.inf:
            raise UserError(f"learning_rate is {self.learning_rate}; it must be a positive number.")
        if not 0 <= self.weight_decay < math.inf:
            raise UserError(f"weight_decay is {self.weight_decay}; it must be 0 or a positive number.")
        if not 0 <= self.initial_displacement < math.inf:
            raise UserError(f"initial_displacement is {self.initial_displacement}; it must be 0 or a positive number.")
        if self.epochs < 1 or self.batch_size < 1 or self.patience < 0:
            raise UserError("epochs and batch_size must be positive and patience not negative.")
        for name in ("seed", "displacement_seed"):
            if not 0 <= getattr(self, name) <= MAX_SEED:
                raise UserError(f"{name} is {getattr(self, name)}; it must be a whole number from 0 to {MAX_SEED}.")
        if self.token_budget is not None and self.token_budget < 1:
            raise UserError(f"token_budget is {self.token_budget}; it must be a positive number of tokens.")


def answers_dev(dev_accuracy: bool | None, early_stop: str | None) -> bool:
    """Whether dev is answered and graded after each epoch: it was asked for, or early stopping goes by it."""
    return bool(dev_accuracy) or early_stop == "dev_accuracy"


def across_folds(folds: int, train: int, dev: int) -> int:
    """The folds across which the epoch is chosen: none where dev is large enough, and no more than there are items."""
    return min(folds, train + dev) if dev < SMALL_DEV else 0
