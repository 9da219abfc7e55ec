"""The text prompt's answers as token ids, decoded once in each layout and cut to whatever protocol asks for them.

An answer under a smaller token limit or more end tokens is the beginning of one under a larger limit or fewer: the ladder's
rungs of the text and the protocol search share their decodings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from contracts import Item, in_blocks
from embedgrad_core import FrozenModel, Layout, LoopRule, PromptEmbedding, Slot
from embedgrad_core.decode import Decoded, check_lengths, to_decoded
from embedgrad_core.greedy import Row, greedy
from embedgrad_core.kernels import packed_weights

STOP_RULES = ("family", "checkpoint")


@dataclass
class TextAnswers:
    """Answers of one text prompt by the native engine.

    Attributes:
        frozen: the frozen model.
        layout: the run's own; its ``kind`` is what varies.
        prompt: the human prompt.
        settings: keyword arguments of :func:`embedgrad_core.decode`.
    """

    frozen: FrozenModel
    layout: Layout
    prompt: str
    settings: dict
    _rows: dict[tuple, list[tuple[Item, Row]]] = field(default_factory=dict, repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The layouts that the model has."""
        return ("bare", "chat") if self.frozen.tokenizer.chat_template else ("bare",)

    def rows(self, kind: str, items: Sequence[Item], **callbacks: Callable) -> list[tuple[Item, Row]]:
        """Each item, in the order of :func:`contracts.in_order`, with its answer until an end token of the checkpoint's own.

        Args:
            kind: ``bare`` or ``chat``.
            items: what to answer.
            callbacks: ``on_progress``, ``on_step`` and ``say``, as of :func:`embedgrad_core.decode`.

        Raises:
            UserError: an input and the token limit do not fit the context.
        """
        key = (kind, *(item.id for item in items))
        if key not in self._rows:
            self._rows[key] = self._decode(kind, items, **callbacks)
        return self._rows[key]

    def decoded(self, kind: str, items: Sequence[Item], **callbacks: Callable) -> list[Decoded]:
        """The same as :func:`embedgrad_core.decode` gives them, under the stop rule of the settings."""
        ends, loop = self.frozen.stop_ids(self.settings["stop_rule"]), self.settings["loop"]
        found = self.rows(kind, items, **callbacks)
        return [to_decoded(self.frozen, item, until(row, ends), ends, loop) for item, row in found]

    def _decode(
        self,
        kind: str,
        items: Sequence[Item],
        on_progress: Callable[[int], None] = lambda done: None,
        on_step: Callable[[float], None] = lambda begun: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> list[tuple[Item, Row]]:
        frozen, settings = self.frozen, self.settings
        most, repeats = settings["max_new_tokens"], settings.get("stop_on_loop")
        blocks = in_blocks(items, settings.get("block"))
        slot = Slot.place(frozen.tokenizer, replace(self.layout, kind=kind), self.prompt)
        vectors = PromptEmbedding.from_text(frozen, slot).initial
        bodies = {item.id: slot.body_ids(item.input) for item in items}
        check_lengths(frozen, slot, items, bodies, most)
        found: list[tuple[Item, Row]] = []
        count = 0

        def count_row(row: Row) -> None:
            nonlocal count
            count += 1
            on_progress(count)

        with packed_weights(frozen.network):
            for block in blocks:
                rows = greedy(
                    frozen,
                    slot,
                    vectors,
                    [bodies[item.id] for item in block],
                    most,
                    frozen.stop_ids("checkpoint"),
                    batch_size=settings["batch_size"],
                    stop_on_loop=LoopRule(repeats, settings["loop"].tokens) if repeats else None,
                    on_end=count_row,
                    on_step=on_step,
                    say=say,
                )
                found += zip(block, rows, strict=True)
        return found


def until(row: Row, ends: Sequence[int], limit: int | None = None) -> Row:
    """A row's beginning: up to the first end token, that included, and ``limit`` tokens at most."""
    stop = next((place + 1 for place, token in enumerate(row.ids) if token in ends), len(row.ids))
    stop = min(stop, limit or stop)
    return row if stop == len(row.ids) else Row(row.index, row.ids[:stop], row.bits[:stop])
