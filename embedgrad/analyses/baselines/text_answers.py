"""The text prompt's answers as token ids, decoded once in each layout and cut to whatever protocol asks for them.

An answer under a smaller token limit or more end tokens is the beginning of one under a larger limit or fewer: the ladder's
rungs of the text and the protocol search share their decodings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from embedgrad_core import Decoding, FrozenModel, Layout, PromptEmbedding, Slot
from embedgrad_core.decoding.answers import Decoded, decode_rows, to_decoded
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.decoding.rows import Row
from embedgrad_core.files import Item


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

    def _decode(
        self, slot: Slot, items: Sequence[Item], penalty: float | None, callbacks: dict[str, Any]
    ) -> list[tuple[Item, Row]]:
        vectors = PromptEmbedding.from_text(self.frozen, slot).initial
        native = replace(self.decoding, engine="native", tensor_parallel=None, repetition_penalty=penalty)
        ends = self.frozen.stop_ids("checkpoint")
        return decode_rows(self.frozen, slot, vectors, items, native, ends, kept=self.kept, **callbacks)


def text_vectors(frozen: FrozenModel, layout: Layout, text: str) -> tuple[Slot, torch.Tensor]:
    """Where a text sits as the prompt, and its own (k, d) vectors."""
    slot = Slot.place(frozen.tokenizer, layout, text)
    return slot, PromptEmbedding.from_text(frozen, slot).initial


def until(row: Row, ends: Sequence[int], limit: int | None = None) -> Row:
    """A row's beginning: up to the first end token, that included, and ``limit`` tokens at most."""
    stop = next((place + 1 for place, token in enumerate(row.ids) if token in ends), len(row.ids))
    stop = min(stop, limit or stop)
    return row if stop == len(row.ids) else Row(row.index, row.ids[:stop], row.bits[:stop])
