"""The frozen model as its own critic, and what a prompt is improved on: what the text rivals share."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from embedgrad.analyses.baselines.text_answers import text_vectors
from embedgrad.grading import Grading
from embedgrad.rivals.families.kept_answers import Asked, KeptAnswers
from embedgrad_core import Decoding, FrozenModel, Layout, Slot, decode
from embedgrad_core.decoding.answers import Decoded
from embedgrad_core.files import Item, UserError
from embedgrad_core.prompt import vectors_sha256


@dataclass(frozen=True)
class Task:
    """What a prompt is improved on.

    Attributes:
        train: where the criticised answers come from.
        dev: by which a prompt is kept or not; never the test split.
        grading: how an answer is checked.
        seed: of the order of items.
    """

    train: Sequence[Item]
    dev: Sequence[Item]
    grading: Grading
    seed: int

    def batch(self, step: int, size: int) -> list[Item]:
        """The items of a step, drawn without regard to the steps before."""
        return random.Random(f"{self.seed} {step}").sample(list(self.train), min(size, len(self.train)))


@dataclass
class Spent:
    """What requests have taken.

    Attributes:
        calls: made so far.
        tokens: generated so far.
        seconds: by the clock.
        cpu_seconds: of all threads of the process.
    """

    calls: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, asked: Asked) -> None:
        """Count a request."""
        self.calls += len(asked.rows)
        self.tokens += sum(row.n_tokens for row in asked.rows)
        self.seconds += asked.seconds
        self.cpu_seconds += asked.cpu_seconds


@dataclass
class Model:
    """The frozen model as the libraries call it: text in, text out.

    Attributes:
        frozen: the frozen model.
        layout: where the human prompt sits; a critic's request takes the place of prompt and input.
        decoding: token limit, stop and loop rules, for answers and criticism alike.
        kept: where answers are kept for a start after a kill, or None.
        search: what searching has taken.
        dev: what looking at dev has.
    """

    frozen: FrozenModel
    layout: Layout
    decoding: Decoding
    kept: KeptAnswers | None = None
    search: Spent = field(default_factory=Spent)
    dev: Spent = field(default_factory=Spent)
    primed: dict[str, str] = field(default_factory=dict)

    def answers(self, prompt: str, items: Sequence[Item], spent: Spent | None = None) -> dict[str, str]:
        """The items' answers behind a prompt, in batches; counted as search unless ``spent`` says as what."""
        slot, vectors = text_vectors(self.frozen, self.layout, prompt)
        return {row.id: row.output for row in self._asked(slot, vectors, items, spent or self.search)}

    def ask(self, text: str, system: str = "") -> str:
        """One reply; empty where the request and its reply do not fit the context."""
        if text in self.primed:
            return self.primed.pop(text)
        own = replace(
            self.layout, separator="", suffix="", slot="user", system_message=system or self.layout.system_message
        )
        try:
            slot, vectors = text_vectors(self.frozen, own, text.strip())
            (row,) = self._asked(slot, vectors, [Item("reply", "", "", "")], self.search)
        except UserError:
            return ""
        return row.output

    def _asked(self, slot: Slot, vectors: torch.Tensor, items: Sequence[Item], spent: Spent) -> Sequence[Decoded]:
        """Answers, from the file where they are kept; those of equal requests are equal."""
        asked, key = None, ""
        if self.kept:
            model = [self.frozen.resolved, str(self.frozen.dtype), self.frozen.device.type]
            decides = [*model, slot.head_ids, vectors_sha256(vectors), self.decoding.row()]
            key = self.kept.key(decides, [(item.id, slot.body_ids(item.input)) for item in items])
            asked = self.kept.find(key)
        if asked is None:
            began, cpu = time.perf_counter(), time.process_time()
            rows = decode(self.frozen, slot, vectors, items, self.decoding)
            asked = Asked(rows, time.perf_counter() - began, time.process_time() - cpu)
            if self.kept:
                self.kept.add(key, asked)
        spent.add(asked)
        return asked.rows

    def accuracy(self, prompt: str, task: Task) -> float:
        """On dev, and not counted as search; 0 for a prompt that leaves no room for the inputs."""
        try:
            answers = self.answers(prompt, task.dev, self.dev)
        except UserError:
            return 0.0
        return task.grading.accuracy(answers, {item.id: item.answer for item in task.dev})

    def usable(self, proposal: str) -> str | None:
        """A proposal that can stand as a prompt: some words, which the template shows as they are; or None."""
        try:
            Slot.place(self.frozen.tokenizer, self.layout, proposal.strip())
        except UserError:
            return None
        return proposal.strip()
