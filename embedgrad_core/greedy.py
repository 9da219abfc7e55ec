"""Eq. 8-9: greedy decoding from the prompt's vectors, with Eq. 11's entropy on the way (the native engine).

Plain argmax over raw logits: the generation settings that a checkpoint ships with (repetition penalty, temperature) are
never consulted. What stands before the inputs runs once. A row that ends leaves at once and the next one takes its slot, its
input running in the same forward pass as the others' next tokens.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from contracts import UserError
from embedgrad_core.attention import attending
from embedgrad_core.kernels import is_out_of_memory, release_memory
from embedgrad_core.layout import Slot
from embedgrad_core.loops import LoopRule, is_loop
from embedgrad_core.model import FrozenModel
from embedgrad_core.slots import KeyValueSlots

# Steps between two looks at which rows have ended: a look makes the host wait for a card, and costs nothing on a CPU.
INTERVAL = {"cpu": 1, "cuda": 16}


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


@torch.inference_mode()
def greedy(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    bodies: Sequence[list[int]],
    max_new_tokens: int,
    stop_ids: Sequence[int],
    *,
    batch_size: int = 16,
    stop_on_loop: LoopRule | None = None,
    on_end: Callable[[Row], None] = lambda row: None,
    on_step: Callable[[float], None] = lambda begun: None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Greedy continuation of ``[head, vectors, body]`` for bodies of any lengths.

    Args:
        frozen: the frozen model.
        slot: where the prompt sits.
        vectors: (k, d) prompt vectors.
        bodies: token ids after the prompt, a list for each row.
        max_new_tokens: token limit of a row.
        stop_ids: token ids that end a row; the one that came is the last of its ids.
        batch_size: rows that run at a time.
        stop_on_loop: end a row as soon as its tail repeats so.
        on_end: called with each row when it has ended.
        on_step: called when rows have been looked at, with what the running ones have of their limits, in rows: five that are at
            a tenth of it come to 0.5.
        say: where to report that memory ran out and fewer rows run at a time.

    Returns:
        The rows in the order of ``bodies``.

    Raises:
        UserError: a single row does not fit into memory.
    """
    finished: dict[int, Row] = {}
    while len(finished) < len(bodies):
        left = [index for index in range(len(bodies)) if index not in finished]
        decoder = _Decoder(
            frozen,
            slot,
            vectors,
            bodies,
            left,
            max_new_tokens,
            set(stop_ids),
            batch_size,
            stop_on_loop,
            on_end,
            on_step,
        )
        try:
            decoder.run()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            batch_size = min(batch_size, len(left)) // 2
            if not batch_size:
                raise UserError(
                    "out of memory with a single answer at a time; shorten the inputs (in a workflow: input_last_words), lower "
                    "max_new_tokens, or use a larger card or a smaller model."
                ) from None
        finished |= decoder.finished
        if len(finished) < len(bodies):
            del decoder  # and with it its cache
            release_memory(frozen.device)
            say(f"out of memory: going on with {batch_size} answers at a time; results are the same")
    return [finished[index] for index in range(len(bodies))]


class _Decoder:
    def __init__(
        self,
        frozen: FrozenModel,
        slot: Slot,
        vectors: torch.Tensor,
        bodies: Sequence[list[int]],
        wanted: Sequence[int],
        limit: int,
        stop_ids: set[int],
        batch_size: int,
        stop_on_loop: LoopRule | None,
        on_end: Callable[[Row], None],
        on_step: Callable[[float], None],
    ) -> None:
        self.frozen, self.bodies, self.limit, self.stop_ids = frozen, bodies, limit, stop_ids
        self.stop_on_loop, self.on_end, self.on_step = stop_on_loop, on_end, on_step
        head = frozen.embed(torch.tensor(slot.head_ids, dtype=torch.long))
        shared = torch.cat([head, vectors.to(frozen.device, frozen.dtype)])
        # A row must bring at least one token of its own to be answered: without a body that is the prompt's last vector.
        cut = len(shared) if all(bodies) else len(shared) - 1
        self.prefix, self.own = shared[:cut], shared[cut:]
        self.waiting = deque(wanted)
        self.active: list[Row] = []
        self.finished: dict[int, Row] = {}
        self.cache = KeyValueSlots(min(batch_size, len(wanted)), frozen.device)
        self.interval = INTERVAL.get(frozen.device.type, 1)
        self.chosen = torch.zeros(0, dtype=torch.long, device=frozen.device)  # the last token of each active row

    def run(self) -> None:
        """Decode everything that is wanted into ``finished``."""
        if len(self.prefix):
            self._forward(self.prefix, self.cache.begin(0, [(0, len(self.prefix))]), torch.tensor([0]))
            for slot in range(1, len(self.cache.lengths)):
                self.cache.copy(0, slot)
        while self.waiting or self.active:
            self._settle(*self._steps())

    def _steps(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Fill the free slots and take steps without a look at the outcome; tokens and bits, (steps, rows)."""
        running = len(self.active)
        new = []
        while self.waiting and len(self.active) < len(self.cache.lengths):
            self.active.append(Row(self.waiting.popleft()))
            new.append(self.active[-1])
        room = self.limit - max(len(row.ids) for row in self.active)
        tokens, bits = [], []
        for _ in range(max(1, min(self.interval, room))):
            stretches = [(running + place, self._body(row)) for place, row in enumerate(new)]
            embeds = torch.cat([self.frozen.embed(self.chosen), *(body for _, body in stretches)])
            positions = self.cache.begin(running, [(slot, len(body)) for slot, body in stretches])
            ends = torch.tensor([len(body) for _, body in stretches], dtype=torch.long).cumsum(0) + running - 1
            logits = self._forward(embeds, positions, torch.cat([torch.arange(running), ends]))
            self.chosen = logits.argmax(dim=1)
            tokens.append(self.chosen)
            bits.append(entropy_bits(logits))
            running, new = len(self.active), []
        return torch.stack(tokens), torch.stack(bits)

    def _body(self, row: Row) -> torch.Tensor:
        """(L, d) what a row brings of its own."""
        body = self.frozen.embed(torch.tensor(self.bodies[row.index], dtype=torch.long))
        return torch.cat([self.own, body])

    def _forward(self, embeds: torch.Tensor, positions: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Logits (len(wanted), V) in float32 at the flat places ``wanted``."""
        with attending(self.frozen.network, self.cache):
            output = self.frozen.network(
                inputs_embeds=embeds[None],
                position_ids=positions[None],
                use_cache=False,
                # A list where layers lie on several cards: a tensor would be sent to the first, away from the last states.
                logits_to_keep=wanted.tolist() if self.frozen.is_divided else wanted.to(embeds.device),
            )
        return output.logits[0].to(embeds.device).float()

    def _settle(self, tokens: torch.Tensor, bits: torch.Tensor) -> None:
        """Write the steps down, row by row, and close the slots of the rows that have ended."""
        steps = list(zip(tokens.tolist(), bits.tolist(), strict=True))
        ended = []
        for place, row in enumerate(self.active):
            for ids, entropies in steps:
                row.ids.append(ids[place])
                row.bits.append(entropies[place])
                if self._has_ended(row):
                    ended.append(place)
                    break  # what the row went on to say before anyone looked is dropped
        for place in reversed(ended):
            self._close(place)
        self.on_step(sum(len(row.ids) for row in self.active) / self.limit)

    def _has_ended(self, row: Row) -> bool:
        if row.ids[-1] in self.stop_ids or len(row.ids) == self.limit:
            return True
        rule = self.stop_on_loop
        row.looped = rule is not None and len(row.ids) >= rule.tokens and is_loop(row.ids, rule)
        return row.looped

    def _close(self, place: int) -> None:
        """Free a slot: the last active row moves there, so that the active rows stay side by side."""
        row, last = self.active[place], len(self.active) - 1
        if place != last:
            self.cache.copy(last, place)
            self.active[place] = self.active[last]
            self.chosen[place] = self.chosen[last]
        self.active.pop()
        self.chosen = self.chosen[:last]
        self.cache.truncate(last, len(self.prefix))
        self.finished[row.index] = row
        self.on_end(row)


def entropy_bits(logits: torch.Tensor) -> torch.Tensor:
    """Entropy in bits of softmax(logits) over the last dimension (the inner sum of Eq. 11); (…, V) → (…)."""
    # H = log Z − Σ p·x over x = logits − max: exact for a uniform distribution. A token of probability zero has
    # x = −inf and contributes nothing; 0 · −inf would be nan.
    shifted = (logits - logits.amax(dim=-1, keepdim=True)).clamp_min_(-1e4)
    p = shifted.softmax(dim=-1)
    # The likeliest token has x = 0, so that its probability is 1/Z: one pass less than a sum of exponentials.
    return (-p.amax(dim=-1).log() - torch.linalg.vecdot(p, shifted)) / math.log(2)
