"""How far a prompt's answer distributions are from another's: KL(teacher ‖ student), with a gradient to the student's vectors.

The teacher is the optimised prompt. Both read the answers that it writes itself, token by token, so that they are compared where it
goes (context distillation, Snell et al. 2022, arXiv 2209.15189). Of the teacher only hidden states are kept; distributions exist a
chunk at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch

from embedgrad.files.kept import KeptResults
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, PromptEmbedding, Slot
from embedgrad_core.decoding.answers import decode_rows
from embedgrad_core.files import Item, UserError
from embedgrad_core.objective import Example, chunked_logits, chunked_loss, target_hidden
from embedgrad_core.training.step import MicroBatching
from embedgrad_core.training.trainable import Trainable, prompt_vectors


@dataclass(frozen=True)
class Teacher:
    """An optimised prompt's answers to some inputs, and its distributions over the next token along each.

    Attributes:
        frozen: the model of both prompts.
        answers: by item id, the T tokens that it writes, its end token included where it writes one.
        hidden: by item id, (T, d) last hidden states at the positions that predict them.
    """

    frozen: FrozenModel
    answers: dict[str, list[int]] = field(repr=False)
    hidden: dict[str, torch.Tensor] = field(repr=False)

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        frozen: FrozenModel,
        prompt: PromptEmbedding,
        items: Sequence[Item],
        decoding: Decoding,
        log: Callable[[str], None] = print,
        kept: KeptResults | None = None,
    ) -> Self:
        """Let the optimised prompt answer, and read its distributions along the answers.

        Args:
            decoding: how it answers; its token limit is where the comparison ends.
            kept: the answers, for a search that is ended and goes on.

        Raises:
            UserError: an item that does not fit the context.
        """
        slot = prompt.slot

        def answer() -> dict[str, list[int]]:
            with Progress("the optimised prompt's answers", len(items), log, last=False) as at:
                rows = decode_rows(
                    *(frozen, slot, prompt.vectors, items, decoding, frozen.stop_ids(decoding.stop_rule)),
                    **at.decoding,
                    log=log,
                )
            return {item.id: row.ids for item, row in rows}

        found = cls(frozen, (kept or KeptResults(None, None)).get("answers", answer), {})
        with Progress("the optimised prompt's distributions", len(items), log, last=False) as at:
            batching = MicroBatching(frozen.tokens_in_flight(False))
            for part in batching.cut(len(slot.head_ids) + slot.k, found.encode(slot, items)):
                states = target_hidden(frozen, slot, prompt.vectors, part)
                for example, own in zip(part, states.split([len(one.target) for one in part]), strict=True):
                    found.hidden[example.id] = own.clone()
                at.advance(len(part))
        return found

    def encode(self, slot: Slot, items: Sequence[Item]) -> list[Example]:
        """The teacher's answers behind each input as a student reads it.

        Raises:
            UserError: an item that does not fit the context behind the student's prompt; names it.
        """
        examples = [Example(item.id, slot.body_ids(item.input), self.answers[item.id]) for item in items]
        for item, example in zip(items, examples, strict=True):
            if len(slot.head_ids) + slot.k + example.length > self.frozen.context:
                raise UserError(f"{item.name}: does not fit the model's context behind {slot.text[:40]!r}.")
        return examples

    @torch.no_grad()
    def divergences(
        self, slot: Slot, items: Sequence[Item], on_progress: Callable[[int], None] = lambda done: None
    ) -> list[float]:
        """KL(teacher ‖ the text of ``slot``) summed over each item's answer, nats, in the items' order.

        ``on_progress`` is called with the number of items done so far.
        """
        vectors = self.frozen.embed(torch.tensor(slot.prompt_ids)).float()
        found: dict[str, float] = {}
        batching = MicroBatching(self.frozen.tokens_in_flight(False))
        for part in batching.cut(len(slot.head_ids) + slot.k, self.encode(slot, items)):
            states = target_hidden(self.frozen, slot, vectors, part)
            for example, own in zip(part, states.split([len(one.target) for one in part]), strict=True):
                found[example.id] = float(self._between(own, self.hidden[example.id]))
            on_progress(len(found))
        return [found[item.id] for item in items]

    def loss(self, slot: Slot, vectors: torch.Tensor, examples: Sequence[Example]) -> tuple[torch.Tensor, int]:
        """Sum of KL(teacher ‖ student) over the positions of some examples.

        Args:
            slot: where the student sits.
            vectors: (k, d) the student's; the gradient flows to them.
            examples: of :meth:`encode`.

        Returns:
            The summed divergence (scalar, float32, nats) and the number of positions.
        """
        student = target_hidden(self.frozen, slot, vectors, examples)
        teacher = torch.cat([self.hidden[example.id] for example in examples])
        return self._between(student, teacher), len(student)

    def trainable(self, slot: Slot, vectors: torch.Tensor) -> Trainable:
        """The student's vectors with this loss in place of Eq. 6."""
        eq6 = prompt_vectors(self.frozen, slot, vectors)
        return Trainable(
            self.frozen, eq6.leaves, eq6.shared, lambda examples: self.loss(slot, vectors, examples), eq6.drift
        )

    def _between(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Summed KL(teacher ‖ student) of hidden states (N, d); the gradient flows to ``student`` alone."""

        def divergence(logits: torch.Tensor, part: slice, with_slope: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
            ours = logits.log_softmax(dim=1)
            (theirs,) = (own.log_softmax(dim=1) for own in chunked_logits(self.frozen, teacher[part]))
            wanted = theirs.exp()
            loss = (wanted * (theirs - ours)).sum()
            # d KL / d logits = softmax of the student − softmax of the teacher.
            return loss, ours.exp_().sub_(wanted) if with_slope else None

        return chunked_loss(self.frozen, student, divergence)
