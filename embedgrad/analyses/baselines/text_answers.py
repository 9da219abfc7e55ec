"""The text prompt's answers as token ids, decoded once in each layout and cut to whatever protocol asks for them.

An answer under a smaller token limit or more end tokens is the beginning of one under a larger limit or fewer: the ladder's
rungs of the text and the protocol search share their decodings.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, Layout, PromptEmbedding, Slot, decode
from embedgrad_core.decoding.answers import Decoded, decode_rows, to_decoded
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.decoding.rows import Row
from embedgrad_core.decoding.together import Asked, decode_together
from embedgrad_core.files import Item, UserError, in_order


@dataclass
class TextAnswers:
    """Answers of one text prompt by the native engine.

    Attributes:
        frozen: the frozen model.
        layout: the run's own; its ``kind`` is what varies.
        prompt: the human prompt.
        decoding: how answers are decoded, but for the engine.
        kept: blocks that were answered before.
    """

    frozen: FrozenModel
    layout: Layout
    prompt: str
    decoding: Decoding
    kept: KeptRows | None = None
    _rows: dict[tuple, list[tuple[Item, Row]]] = field(default_factory=dict, repr=False)
    _ahead: dict[tuple, dict[str, Row]] = field(default_factory=dict, repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The layouts that the model has."""
        return ("bare", "chat") if self.frozen.tokenizer.chat_template else ("bare",)

    def in_layout(self, kind: str) -> Layout:
        """The run's own layout, ``bare`` or ``chat``."""
        return replace(self.layout, kind=kind)

    def slot(self, layout: Layout) -> Slot:
        """Where the prompt sits in a layout."""
        return Slot.place(self.frozen.tokenizer, layout, self.prompt)

    def rows(
        self, layout: Layout, items: Sequence[Item], penalty: float | None = None, **callbacks: Any
    ) -> list[tuple[Item, Row]]:
        """Each item, as :func:`embedgrad_core.files.in_order` has them, with its answer until the checkpoint says it ends.

        Args:
            layout: where the prompt sits; one that the model reads as another is not answered again.
            items: what to answer.
            penalty: of repetition.
            callbacks: ``on_progress``, ``on_step`` and ``log``, as of :func:`embedgrad_core.decode`.

        Raises:
            UserError: an input and the token limit do not fit the context.
        """
        slot = self.slot(layout)
        # A rendered template brings its BOS along, where the bare text gets it from the tokenizer.
        key = (layout.kind, slot.header()["template"], penalty, *((item.id, item.input) for item in items))
        if key not in self._rows:
            self._rows[key] = self._decode(slot, items, penalty, callbacks)
        return self._rows[key]

    def decoded(self, kind: str, items: Sequence[Item], **callbacks: Any) -> list[Decoded]:
        """The same as :func:`embedgrad_core.decode` gives them, under the stop rule and penalty of ``decoding``."""
        ends, loop = self.frozen.stop_ids(self.decoding.stop_rule), self.decoding.loop
        found = self.rows(self.in_layout(kind), items, self.decoding.repetition_penalty, **callbacks)
        return [to_decoded(self.frozen, item, until(row, ends), ends, loop) for item, row in found]

    def generated(self, slot: Slot, vectors: torch.Tensor, items: Sequence[Item], **callbacks: Any) -> list[Decoded]:
        """What :func:`embedgrad_core.decode` gives behind any prompt, from the answers :meth:`ahead` where they are there."""
        ends = self.frozen.stop_ids(self.decoding.stop_rule)
        found = self._found(Asked(slot, vectors, items, ends))
        if found is None:
            return decode(self.frozen, slot, vectors, items, self.decoding, kept=self.kept, **callbacks)
        return [to_decoded(self.frozen, item, row, ends, self.decoding.loop) for item, row in found]

    def asked(self, layout: Layout, items: Sequence[Item]) -> Asked:
        """What :meth:`rows` asks the model for without a penalty."""
        slot = self.slot(layout)
        vectors = PromptEmbedding.from_text(self.frozen, slot).initial
        return Asked(slot, vectors, items, self.frozen.stop_ids("checkpoint"))

    def fits(self, one: Asked) -> bool:
        """Whether every item leaves room for its answer."""
        try:
            one.check(self.frozen, self.decoding)
        except UserError:
            return False
        return True

    def ahead(self, asked: Iterable[Asked], log: Callable[[str], None]) -> None:
        """Answer everything at once (:mod:`embedgrad_core.decoding.together`), for :meth:`rows` and :meth:`generated` to find."""
        wanted: dict[tuple, Asked] = {}
        for one in asked:
            held = wanted.setdefault(one.key, replace(one, items=()))
            known = {(item.id, item.input) for item in held.items}
            more = [item for item in one.items if (item.id, item.input) not in known]
            wanted[one.key] = replace(held, items=[*held.items, *more])
        each = [one for one in wanted.values() if self.fits(one)]  # what does not is named where it is asked for
        with Progress("answers behind all prompts", sum(len(one.items) for one in each), log) as at:
            found = decode_together(self.frozen, each, self.decoding, kept=self.kept, log=log, **at.decoding)
        for one, rows in zip(each, found, strict=True):
            self._ahead[one.key] = {_name(item): row for item, row in rows}

    def _found(self, one: Asked) -> list[tuple[Item, Row]] | None:
        """Each item with its answer, if all were answered ahead."""
        held = self._ahead.get(one.key, {})
        items = [item for level in in_order(one.items) for item in level]
        rows = [held.get(_name(item)) for item in items]
        return [(item, row) for item, row in zip(items, rows, strict=True) if row] if all(rows) else None

    def _decode(
        self, slot: Slot, items: Sequence[Item], penalty: float | None, callbacks: dict[str, Any]
    ) -> list[tuple[Item, Row]]:
        vectors = PromptEmbedding.from_text(self.frozen, slot).initial
        native = replace(self.decoding, engine="native", tensor_parallel=None, repetition_penalty=penalty)
        ends = self.frozen.stop_ids("checkpoint")
        if penalty is None and (found := self._found(Asked(slot, vectors, items, ends))) is not None:
            return found
        return decode_rows(self.frozen, slot, vectors, items, native, ends, kept=self.kept, **callbacks)


def _name(item: Item) -> str:
    """An item as it was answered: another edition of the data has other inputs under the same ids."""
    return f"{item.id}\n{item.input}"


def text_vectors(frozen: FrozenModel, layout: Layout, text: str) -> tuple[Slot, torch.Tensor]:
    """Where a text sits as the prompt, and its own (k, d) vectors."""
    slot = Slot.place(frozen.tokenizer, layout, text)
    return slot, PromptEmbedding.from_text(frozen, slot).initial


def until(row: Row, ends: Sequence[int], limit: int | None = None) -> Row:
    """A row's beginning: up to the first end token, that included, and ``limit`` tokens at most."""
    stop = next((place + 1 for place, token in enumerate(row.ids) if token in ends), len(row.ids))
    stop = min(stop, limit or stop)
    return row if stop == len(row.ids) else Row(row.index, row.ids[:stop], row.bits[:stop])
