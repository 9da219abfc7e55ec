"""Texts that may stand for an optimised prompt, and what they are worth: distance to its answers, plainness, within a budget."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from embedgrad.carry.divergence import Teacher
from embedgrad.files.kept import KeptResults
from embedgrad_core import FrozenModel, Layout, Slot
from embedgrad_core.anchoring import printable_tokens
from embedgrad_core.files import Item, UserError
from embedgrad_core.likelihood import token_log_likelihoods
from embedgrad_core.objective import Example


@dataclass
class Budget:
    """Item forwards that a search may take, a gradient counted as three.

    Attributes:
        total: all of them.
        limit: those that may be taken by now; what is above it is kept for later.
        spent: those that were.

    Raises:
        UserError: a total below 1.
    """

    total: int
    limit: int = field(init=False)
    spent: int = 0

    def __post_init__(self) -> None:
        if self.total < 1:
            raise UserError(f"budget is {self.total}; it must be a positive number of forward passes.")
        self.limit = self.total

    def take(self, forwards: int) -> bool:
        """Take so many, or none if there are not as many left."""
        if self.spent + forwards > self.limit:
            return False
        self.spent += forwards
        return True


@dataclass(frozen=True)
class Candidate:
    """A text as the tokenizer reads it.

    Attributes:
        way: how it was found: ``text`` (the prompt's own), ``nearest``, ``gradient`` or ``rewrite``.
        slot: where it sits, with the tokens that were scored.
        loss: on the screening items, nats per item: divergence and what its words cost.
    """

    way: str
    slot: Slot
    loss: float


def read_as_scored(
    frozen: FrozenModel, layout: Layout, text: str, items: Sequence[Item], ids: Sequence[int] | None = None
) -> Slot:
    """Place a text, and check that whoever sends it feeds the model the very tokens that are scored.

    Args:
        items: the inputs that it must not merge with.
        ids: the tokens that it must be read as, if they are given.

    Raises:
        UserError: it is read as other tokens, by itself or before an input, or a file or a terminal would change it.
    """
    if (
        any(not letter.isprintable() and letter != "\n" for letter in text)
        or text != text.strip("\n")
        or not text.strip()
    ):
        raise UserError(f"{text[:40]!r} holds characters that a text file would not keep; choose other words.")
    slot = Slot.place(frozen.tokenizer, layout, text)
    if ids is not None and slot.prompt_ids != tuple(ids):
        raise UserError(f"{text[:40]!r}: the tokenizer reads it as other tokens than were scored; choose other words.")
    for item in items:
        if not slot.is_seamless(item.input):
            raise UserError(
                f"{text[:40]!r}: the tokenizer reads it as other tokens before {item.name}; choose other words."
            )
    return slot


class Judge:
    """What texts are worth beside an optimised prompt.

    Args:
        teacher: the optimised prompt's answers to all items.
        layout: where texts sit.
        items: all inputs that a text must be read before as it was scored.
        budget: that each score is taken from.
        longest: tokens that a text may have.
        kept: each score, for a search that is ended and goes on.

    Attributes:
        fluency: nats per item that a nat per token of a text's own surprise costs.
        refused: texts that were.
    """

    def __init__(
        self,
        teacher: Teacher,
        layout: Layout,
        items: Sequence[Item],
        budget: Budget,
        longest: int,
        kept: KeptResults | None = None,
    ) -> None:
        self.teacher, self.layout, self.items = teacher, layout, list(items)
        self.budget, self.longest, self.kept = budget, longest, kept or KeptResults(None, None)
        self.fluency, self.refused = 0.0, 0

    @property
    def frozen(self) -> FrozenModel:
        """The model that answers."""
        return self.teacher.frozen

    def place(self, text: str) -> Slot | None:
        """Where a text sits; None if it is too long, or would not be read as it would be scored."""
        try:
            slot = read_as_scored(self.frozen, self.layout, text, self.items)
            self.teacher.encode(slot, self.items)
        except UserError:
            slot = None
        if slot is None or slot.k > self.longest:
            self.refused += 1
            return None
        return slot

    def loss(
        self, slot: Slot, items: Sequence[Item], on_progress: Callable[[int], None] = lambda done: None
    ) -> tuple[float, float] | None:
        """Mean divergence (nats per item) and surprise (nats per token) of a text; None if the budget has no room for them."""
        if not self.budget.take(len(items) + 1):
            return None

        def score() -> tuple[float, float]:
            found = self.teacher.divergences(slot, items, on_progress)
            return sum(found) / len(found), surprise(self.frozen, slot)

        divergence, strange = self.kept.get("loss", score)
        return divergence, strange

    def total(self, found: tuple[float, float]) -> float:
        """What a search lowers: divergence, and fluency times surprise."""
        return found[0] + self.fluency * found[1]

    def candidate(
        self, way: str, text: str, items: Sequence[Item], on_progress: Callable[[int], None] = lambda done: None
    ) -> Candidate | None:
        """A text with its loss on some items; None if it is refused or the budget is spent."""
        slot = self.place(text)
        found = self.loss(slot, items, on_progress) if slot else None
        return Candidate(way, slot, self.total(found)) if slot and found else None


@torch.no_grad()
def surprise(frozen: FrozenModel, slot: Slot) -> float:
    """Mean of minus the log-likelihood of a text's tokens, nats per token, after what the layout puts before it.

    Where nothing stands before it, the first token is given; of a single token that is all, and there is no surprise.
    """
    ids = list(slot.prompt_ids)
    nothing = Slot(frozen.tokenizer, slot.layout, "", slot.head_ids, ())
    example = Example("words", [], ids) if slot.head_ids else Example("words", ids[:1], ids[1:])
    if not example.target:
        return 0.0
    (found,) = token_log_likelihoods(frozen, nothing, torch.zeros(0, frozen.width), [example])
    return -sum(found) / len(found)


def random_words(frozen: FrozenModel, layout: Layout, count: int, seed: int) -> Slot:
    """A control: tokens drawn from those that words may hold, as a text without blanks at its ends.

    Such a text may be read as other tokens than were drawn; of 50 draws the first that has ``count``, else the nearest to it.
    """
    tokens, draw = printable_tokens(frozen).nonzero().flatten().tolist(), random.Random(f"random words {seed}")
    found = []
    for _ in range(50):
        text = frozen.tokenizer.decode(draw.choices(tokens, k=count), clean_up_tokenization_spaces=False).strip()
        try:
            found.append(Slot.place(frozen.tokenizer, layout, text))
        except UserError:  # blanks alone, or it merges with the template
            continue
        if found[-1].k == count:
            break
    return min(found, key=lambda slot: abs(slot.k - count))
