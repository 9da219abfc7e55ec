"""Answers in the making, and when they have ended: what the decoders share."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from embedgrad_core.decoding.settings import LoopRule, is_loop
from embedgrad_core.layout import Slot
from embedgrad_core.model.attention import Past
from embedgrad_core.model.frozen import FrozenModel


@dataclass
class Row:
    """One answer in the making: ``index`` of its body, new token ids, entropy of each step in bits."""

    index: int
    ids: list[int] = field(default_factory=list)
    bits: list[float] = field(default_factory=list)
    looped: bool = False

    @property
    def entropy(self) -> float:
        """Eq. 11: the mean over steps."""
        return sum(self.bits) / max(len(self.bits), 1)


@dataclass(frozen=True)
class Whole:
    """A row that shares nothing with its neighbours: all that stands before its answer, its own prompt included.

    Attributes:
        vectors: (P, d) head and prompt.
        ids: token ids after them.
        stop_ids: token ids that end it.
    """

    vectors: torch.Tensor
    ids: list[int]
    stop_ids: Sequence[int]

    def __len__(self) -> int:
        """Tokens before the answer."""
        return len(self.vectors) + len(self.ids)


@dataclass
class Request:
    """What is to be answered, and how.

    Attributes:
        frozen: the frozen model.
        slot: where the prompt sits.
        vectors: (k, d) prompt vectors.
        bodies: token ids after the prompt, a list for each row; or whole rows, behind a slot and vectors of no tokens.
        limit: new tokens of a row at most.
        stop_ids: token ids that end a row that brings none of its own.
        stop_on_loop: end a row as soon as its tail repeats so.
        on_end: called with each row when it has ended.
        on_step: called when rows have been looked at, with what the running ones have of their limits, in rows.
        prefix: (P, d) what all rows share and the model reads once.
        own: (0 or 1, d) what each row brings before its body.
        past: keys and values that stand before everything.
        penalty: of repetition (:mod:`embedgrad_core.decoding.repetition`); None is none.
    """

    frozen: FrozenModel
    slot: Slot
    vectors: torch.Tensor
    bodies: Sequence[list[int] | Whole]
    limit: int
    stop_ids: Sequence[int]
    stop_on_loop: LoopRule | None
    on_end: Callable[[Row], None]
    on_step: Callable[[float], None]
    past: Past | None = None
    penalty: float | None = None
    prefix: torch.Tensor = field(init=False)
    own: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        head = self.frozen.embed(torch.tensor(self.slot.head_ids, dtype=torch.long))
        shared = torch.cat([head, self.vectors.to(self.frozen.device, self.frozen.dtype)])
        # A row must bring at least one token of its own to be answered: without a body that is the prompt's last vector.
        cut = len(shared) if all(self.bodies) else len(shared) - 1
        self.prefix, self.own = shared[:cut], shared[cut:]

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence that can come to be."""
        return len(self.prefix) + len(self.own) + max(map(len, self.bodies)) + self.limit

    def body(self, row: Row) -> torch.Tensor:
        """(L, d) what a row brings of its own."""
        body = self.bodies[row.index]
        own, ids = (body.vectors, body.ids) if isinstance(body, Whole) else (self.own, body)
        embedded = self.frozen.embed(torch.tensor(ids, dtype=torch.long))
        return torch.cat([own.to(embedded.device, embedded.dtype), embedded])

    def ids_before(self, row: Row) -> list[int]:
        """The tokens that stand before a row's answer; optimised vectors stand for the text that they began as."""
        body = self.bodies[row.index]
        if isinstance(body, Whole):
            raise TypeError("a whole row does not say which tokens its prompt began as")
        return [*self.slot.head_ids, *self.slot.prompt_ids, *body]

    def take(self, row: Row, tokens: Sequence[int], bits: Sequence[float]) -> bool:
        """Record steps until the row ends, and return whether it did; tokens after the end are dropped."""
        for token, entropy in zip(tokens, bits, strict=True):
            row.ids.append(token)
            row.bits.append(entropy)
            if self._has_ended(row):
                return True
        return False

    def _has_ended(self, row: Row) -> bool:
        body = self.bodies[row.index]
        ends = body.stop_ids if isinstance(body, Whole) else self.stop_ids
        if row.ids[-1] in ends or len(row.ids) == self.limit:
            return True
        rule = self.stop_on_loop
        row.looped = rule is not None and len(row.ids) >= rule.tokens and is_loop(row.ids, rule)
        return row.looped


def entropy_bits(logits: torch.Tensor) -> torch.Tensor:
    """Entropy in bits of softmax(logits) over the last dimension (the inner sum of Eq. 11); (…, V) → (…)."""
    # H = log Z − Σ p·x over x = logits − max: exact for a uniform distribution. A token of probability zero has
    # x = −inf and contributes nothing; 0 · −inf would be nan.
    shifted = (logits - logits.amax(dim=-1, keepdim=True)).clamp_min_(-1e4)
    p = shifted.softmax(dim=-1)
    # The likeliest token has x = 0, so that its probability is 1/Z: one pass less than a sum of exponentials.
    return (-p.amax(dim=-1).log() - torch.linalg.vecdot(p, shifted)) / math.log(2)
