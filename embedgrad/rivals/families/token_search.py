"""AutoPrompt (Shin et al. 2020) and GCG (Zou et al. 2023): better words for the prompt, found by the gradient of its embeddings.

Both read off the gradient which tokens would lower the loss if it were linear, and try some of them. AutoPrompt tries the best
tokens at one random position a step, GCG random ones of the best at all positions; a change stays if it lowers the loss of the
step's batch. The result is text, and answers as any text prompt does: only candidates count that the tokenizer reads again as the
very tokens that were tried, before real inputs too (https://github.com/GraySwanAI/nanoGCG/issues/24).

Neither has a kept library for a batch of items: AutoPrompt's own code is for masked models, nanoGCG's loop for one item.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import torch

from embedgrad.rivals.rival import Rival
from embedgrad.runtime.progress import Progress
from embedgrad_core import FrozenModel, Layout, Settings, Slot
from embedgrad_core.anchoring import printable_tokens
from embedgrad_core.files import Item, UserError, read_json, sha256_of_bytes, write_json
from embedgrad_core.objective import Example, encode
from embedgrad_core.training.loop import mean_loss
from embedgrad_core.training.step import MicroBatching, accumulate
from embedgrad_core.training.trainable import Trainable, prompt_vectors

# A forward and a backward pass cost about as much as three forward passes.
GRADIENT = 3


@dataclass
class Found:
    """Where a search is.

    Attributes:
        ids: the prompt's tokens now.
        best: those with the lowest loss on dev so far.
        history: a line for each look at dev.
        forwards: items that have run forward, a gradient counted as three.
        tokens: of these items, counted likewise.
        seconds: of searching, without dev.
    """

    ids: list[int]
    best: list[int]
    history: list[dict]
    forwards: int = 0
    seconds: float = 0.0
    tokens: int = 0


@dataclass(frozen=True)
class Aim:
    """What a search lowers in place of Eq. 6, and at whose cost.

    Attributes:
        trainable: slot and (k, d) vectors → the loss of examples, with a gradient to the vectors.
        encode: slot and items → the examples that the loss reads.
        penalty: slot → nats per item that its words cost besides, whatever the examples; one forward pass.
        take: takes so many item forwards from a budget, or says False, which ends the search.
        kept: the kind of a result and how it is computed → the result, as JSON; may know it from a search that was ended.
    """

    trainable: Callable[[Slot, torch.Tensor], Trainable]
    encode: Callable[[Slot, Sequence[Item]], list[Example]]
    penalty: Callable[[Slot], float] | None = None
    take: Callable[[int], bool] = lambda forwards: True
    kept: Callable[[str, Callable[[], Any]], Any] = lambda what, compute: compute()


KNOWN = {"run", *(one.name for one in fields(Found))}


class TokenSearch:
    """One search.

    Args:
        frozen: the frozen model.
        layout: where the prompt sits.
        text: the human prompt, where the search begins.
        rival: name and settings.
        train: training items; each step takes a batch of them.
        dev: items for the choice of the best; never the test split.
        settings: epochs, batch size, seed and patience; an epoch ends with a look at dev.
        log: where plain lines go.
        aim: what is lowered; by default Eq. 6. A search with an aim of its own keeps no state but the aim's.
    """

    def __init__(
        self,
        frozen: FrozenModel,
        layout: Layout,
        text: str,
        rival: Rival,
        train: Sequence[Item],
        dev: Sequence[Item],
        settings: Settings,
        log: Callable[[str], None] = print,
        aim: Aim | None = None,
    ) -> None:
        self.aim = aim or Aim(
            lambda slot, vectors: prompt_vectors(frozen, slot, vectors),
            lambda slot, items: encode(slot, items, frozen.context),
        )
        self.over = False  # the aim's budget is spent
        self.frozen, self.layout, self.rival, self.settings, self.log = frozen, layout, rival, settings, log
        self.train, self.dev = list(train), list(dev)
        self.slot = Slot.place(frozen.tokenizer, layout, text)
        self.batching = MicroBatching(frozen.tokens_in_flight(False), log=log)
        self.allowed = printable_tokens(frozen)
        self.per_epoch = ceil(len(self.train) / settings.batch_size)

    def run(
        self, state: Path | None = None, on_epoch: Callable[[dict], None] = lambda line: None
    ) -> tuple[str, list[dict]]:
        """Search until the epochs are over or patience is.

        Returns:
            The best prompt on dev, the human one included, and the history.

        Raises:
            UserError: a state of another search.
        """
        found = self._load(state) or Found(list(self.slot.prompt_ids), list(self.slot.prompt_ids), [])
        while not self.over and not self._is_over(found.history):
            epoch, begun, cpu, tokens = len(found.history), time.perf_counter(), time.process_time(), found.tokens
            if not self._may(len(self.dev)):  # its look is paid first: what a budget cuts short is looked at, too
                break
            if epoch:
                with Progress(
                    f"{self.rival.name}, epoch {epoch}", self.per_epoch, self.log, unit="steps", last=False
                ) as at:
                    for step in range((epoch - 1) * self.per_epoch, epoch * self.per_epoch):
                        self._step(found, step)
                        at.advance()
            found.seconds += time.perf_counter() - begun
            spent = {"train_seconds": round(time.perf_counter() - begun, 3)}
            spent |= {"train_cpu_seconds": round(time.process_time() - cpu, 3)}
            # A training step takes a token forward and back, which counts as three forward.
            self._look(found, epoch, spent | {"train_tokens": round((found.tokens - tokens) / GRADIENT)})
            on_epoch(found.history[-1])
            self._save(state, found)
        return self._read(found.best), found.history

    def _look(self, found: Found, epoch: int, spent: dict[str, float]) -> None:
        """The loss on dev, and whether it is the best so far."""
        begun = time.perf_counter()
        slot = self._slot(found.ids)
        vectors = self.frozen.embed(torch.tensor(found.ids)).float()
        examples = self.aim.encode(slot, self.dev)
        trainable = self.aim.trainable(slot, vectors)
        loss = self.aim.kept("look", lambda: mean_loss(trainable, examples, self.batching) + self._words(slot))
        best = not found.history or loss < min(line["dev_loss"] for line in found.history)
        changed = sum(one != two for one, two in zip(found.ids, self.slot.prompt_ids, strict=True))
        if best:
            found.best = list(found.ids)
        found.history = [
            *found.history,
            {
                "epoch": epoch,
                "dev_loss": loss,
                "dev_accuracy": None,
                "train_loss": None,
                "item_forwards": found.forwards,
                **spent,
                "seconds": round(spent["train_seconds"] + time.perf_counter() - begun, 3),
                "changed": changed,
                "drift": changed / len(found.ids),
                "best": best,
                "text": self._read(found.ids),
            },
        ]

    def _step(self, found: Found, step: int) -> None:
        """Try candidates on one batch; the best of them stays if it is better than what there is."""
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        start = (step % self.per_epoch) * self.settings.batch_size
        shuffler = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step // self.per_epoch + 1)
        order = torch.randperm(len(self.train), generator=shuffler).tolist()
        batch = [self.train[index] for index in order[start : start + self.settings.batch_size]]
        if not self._may(len(batch), GRADIENT):
            return
        slot = self._slot(found.ids)
        examples = self.aim.encode(slot, batch)
        lowest, candidates = self.aim.kept("gradient", partial(self._proposed, found.ids, slot, examples, generator))
        found.forwards += GRADIENT * len(batch)
        length = sum(example.length for example in examples)
        found.tokens += GRADIENT * length
        for ids in candidates:
            if not self._is_read_again(ids, batch):
                continue
            if not self._may(len(batch)):
                return
            loss = self.aim.kept("swap", partial(self._loss, self._slot(ids), ids, examples))
            found.forwards += len(batch)
            found.tokens += length
            if loss < lowest:
                lowest, found.ids = loss, ids

    def _proposed(
        self, ids: list[int], slot: Slot, examples: Sequence[Example], generator: torch.Generator
    ) -> tuple[float, list[list[int]]]:
        """The loss of the prompt as it is, and what its gradient proposes."""
        vectors = self.frozen.embed(torch.tensor(ids)).float().requires_grad_()
        loss = accumulate(self.aim.trainable(slot, vectors), examples, self.batching)[0]
        assert vectors.grad is not None
        return loss + len(examples) * self._words(slot), self._candidates(ids, vectors.grad, generator)

    def _candidates(self, ids: list[int], gradient: torch.Tensor, generator: torch.Generator) -> list[list[int]]:
        """Prompts that differ in one token each: by the first-order change of the loss, HotFlip's score."""
        count, top = self.rival.settings["candidates"], self.rival.settings["top"]
        table = self.frozen.network.get_input_embeddings().weight.detach()
        scores = -(gradient.to(table.dtype) @ table.T).float().cpu()  # (k, V): how much the loss would fall
        scores[:, ~self.allowed] = -torch.inf
        scores[torch.arange(len(ids)), torch.tensor(ids)] = -torch.inf  # no change is no candidate
        if self.rival.settings["positions"] == "one":
            place = int(torch.randint(len(ids), (1,), generator=generator))
            pairs = [(place, int(token)) for token in scores[place].topk(count).indices]
        else:
            best = scores.topk(top, dim=1).indices
            places = torch.randint(len(ids), (count,), generator=generator)
            ranks = torch.randint(top, (count,), generator=generator)
            pairs = [(int(place), int(best[place, rank])) for place, rank in zip(places, ranks, strict=True)]
        return [[*ids[:place], token, *ids[place + 1 :]] for place, token in dict.fromkeys(pairs)]

    @torch.no_grad()
    def _loss(self, slot: Slot, ids: list[int], examples: Sequence[Example]) -> float:
        vectors = self.frozen.embed(torch.tensor(ids)).float()
        loss = accumulate(self.aim.trainable(slot, vectors), examples, self.batching)[0]
        return loss + len(examples) * self._words(slot)

    def _words(self, slot: Slot) -> float:
        """What the words cost besides, nats per item."""
        return self.aim.penalty(slot) if self.aim.penalty else 0.0

    def _read(self, ids: Sequence[int]) -> str:
        """The text of tokens; of the human prompt's, the human prompt."""
        if tuple(ids) == self.slot.prompt_ids:
            return self.slot.text
        return self.frozen.tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    def _slot(self, ids: Sequence[int]) -> Slot:
        if tuple(ids) == self.slot.prompt_ids:
            return self.slot
        return Slot.place(self.frozen.tokenizer, self.layout, self._read(ids))

    def _is_read_again(self, ids: list[int], items: Sequence[Item]) -> bool:
        """Whether the tokenizer reads the candidate's text as these tokens, and these inputs behind it as before."""
        try:
            slot = self._slot(ids)
        except UserError:  # it merges with the template, or the template changes it
            return False
        if slot.prompt_ids != tuple(ids):
            return False
        return all(
            slot.is_seamless(item.input) and slot.body_ids(item.input) == self.slot.body_ids(item.input)
            for item in items
        )

    def _may(self, items: int, passes: int = 1) -> bool:
        """Whether the budget still has so many passes over items, and one over the words; once it has not, the search ends."""
        self.over = self.over or not self.aim.take(passes * items + (self.aim.penalty is not None))
        return not self.over

    def _is_over(self, history: Sequence[dict]) -> bool:
        if not history:
            return False
        waited = history[-1]["epoch"] - max(line["epoch"] for line in history if line["best"])
        return len(history) > self.settings.epochs or (self.settings.patience > 0 and waited >= self.settings.patience)

    def _identity(self) -> str:
        parts = [
            self.frozen.resolved,
            str(self.frozen.dtype),
            self.rival.name,
            dict(self.rival.settings),
            self.slot.header(),
            asdict(self.settings),
            [(item.id, item.input, item.target) for item in (*self.train, *self.dev)],
        ]
        return sha256_of_bytes(json.dumps(parts, sort_keys=True).encode())

    def _save(self, state: Path | None, found: Found) -> None:
        if state:
            write_json(state, {"run": self._identity(), **asdict(found)})

    def _load(self, state: Path | None) -> Found | None:
        if state is None or not state.exists():
            return None
        kept = read_json(state)
        if not isinstance(kept, dict) or set(kept) | {"tokens"} != KNOWN:  # earlier versions did not count tokens
            raise UserError(f"{state}: not the state of a search; delete it to start anew.")
        if kept.pop("run") != self._identity():
            raise UserError(f"{state}: this state belongs to another model, data or setting; delete it to start anew.")
        return Found(**kept)
