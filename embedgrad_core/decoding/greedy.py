"""Eq. 8-9: greedy decoding from the prompt's vectors, with Eq. 11's entropy on the way (the native engine).

Plain argmax over raw logits: the generation settings that a checkpoint ships with (repetition penalty, temperature) are
never consulted; a repetition penalty has to be asked for, and Eq. 11 is of the raw logits then too. What stands before the
inputs runs once. A row that ends leaves at once and the next one takes its lane. Two decoders take the steps: this one,
whose steps have the shape of what is running, and on a GPU one whose steps have fixed shapes and are replayed as CUDA graphs
(:mod:`embedgrad_core.decoding.graphed`).
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import torch

from embedgrad_core.decoding.graphed import GraphedDecoder, Workspace
from embedgrad_core.decoding.lanes import KeyValueLanes
from embedgrad_core.decoding.repetition import Repetition
from embedgrad_core.decoding.rows import Request, Row, Whole, entropy_bits
from embedgrad_core.decoding.settings import LoopRule
from embedgrad_core.files import UserError
from embedgrad_core.layout import Slot
from embedgrad_core.model.attention import Past, attending
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.model.memory import is_out_of_memory, release_memory

# Steps between two looks at which rows have ended: a look makes the host wait for a GPU, and costs nothing on a CPU.
INTERVAL = {"cpu": 1, "cuda": 16}


@torch.inference_mode()
def greedy(
    frozen: FrozenModel,
    slot: Slot,
    vectors: torch.Tensor,
    bodies: Sequence[list[int] | Whole],
    max_new_tokens: int,
    stop_ids: Sequence[int],
    *,
    batch_size: int = 16,
    stop_on_loop: LoopRule | None = None,
    on_end: Callable[[Row], None] = lambda row: None,
    on_step: Callable[[float], None] = lambda begun: None,
    log: Callable[[str], None] = lambda line: None,
    graphed: bool | None = None,
    workspace: Workspace | None = None,
    past: Past | None = None,
    penalty: float | None = None,
) -> list[Row]:
    """Greedy continuation of ``[head, vectors, body]`` for bodies of any lengths.

    Args:
        vectors: (k, d) prompt vectors.
        bodies: token ids after the prompt, a list for each row; or whole rows, with a prompt and stop ids of their own, behind a
            slot and vectors of no tokens.
        max_new_tokens: token limit of a row.
        stop_ids: token ids that end a row; the one that came is the last of its ids.
        batch_size: rows that run at a time.
        stop_on_loop: end a row as soon as its tail repeats so.
        on_end: called with each row when it has ended.
        on_step: called when rows have been looked at, with what the running ones have of their limits, in rows: five that are at
            a tenth of it come to 0.5.
        log: where to report that memory ran out and fewer rows run at a time.
        graphed: whether steps have fixed shapes (:mod:`embedgrad_core.decoding.graphed`); None: on one GPU they do.
        workspace: shared by calls that follow one another with the same model, so that steps are captured once.
        past: keys and values that stand before everything; the steps then have the shape of what is running.
        penalty: of repetition, or None; the same holds of the steps.

    Returns:
        The rows in the order of ``bodies``.

    Raises:
        UserError: a single row does not fit into memory.
    """
    if graphed is None:
        graphed = frozen.device.type == "cuda" and not frozen.is_divided
    graphed = graphed and past is None and penalty is None
    request = Request(
        frozen, slot, vectors, bodies, max_new_tokens, stop_ids, stop_on_loop, on_end, on_step, past, penalty
    )
    workspace = workspace or Workspace()
    finished: dict[int, Row] = {}
    while len(finished) < len(bodies):
        left = [index for index in range(len(bodies)) if index not in finished]
        rows = min(batch_size, len(left))
        decoder = None
        try:
            begin = partial(GraphedDecoder, workspace=workspace, log=log) if graphed else GrowingDecoder
            decoder = begin(request, left, rows)
            decoder.run()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            batch_size = rows // 2
            if not batch_size:
                raise UserError(
                    "out of memory with a single answer at a time; shorten the inputs (in a workflow: input_last_words), lower "
                    "max_new_tokens, or use a larger GPU or a smaller model."
                ) from None
        finished |= decoder.finished if decoder else {}
        if len(finished) < len(bodies):
            del decoder  # and with it its cache
            workspace.forget()
            release_memory(frozen.device)
            log(f"out of memory: going on with {batch_size} answers at a time; results are the same")
    return [finished[index] for index in range(len(bodies))]


class GrowingDecoder:
    """Steps of just the rows that run, in a cache that grows; a new row's input runs in the same pass as the others' next tokens.

    Args:
        wanted: indices of the bodies.
        rows: that run at a time.

    Attributes:
        finished: the rows that have ended, by index.
    """

    def __init__(self, request: Request, wanted: Sequence[int], rows: int) -> None:
        self.request, self.frozen = request, request.frozen
        self.waiting = deque(wanted)
        self.active: list[Row] = []
        self.finished: dict[int, Row] = {}
        self.cache = KeyValueLanes(rows, self.frozen.device)
        self.shared = 0  # places of a lane that all rows share
        self.interval = INTERVAL.get(self.frozen.device.type, 1)
        self.chosen = torch.zeros(0, dtype=torch.long, device=self.frozen.device)  # the last token of each active row
        self.repetition: Repetition | None = None

    def run(self) -> None:
        """Decode everything that is wanted into ``finished``."""
        prefix, past = self.request.prefix, self.request.past
        if past:
            self.cache.preload(past)
        if len(prefix):
            self._forward(prefix, self.cache.begin(0, [(0, len(prefix))]), torch.tensor([0]))
        self.shared = self.cache.lengths[0]
        for lane in range(1, len(self.cache.lengths) if self.shared else 1):
            self.cache.copy(0, lane)
        while self.waiting or self.active:
            self._settle(*self._steps())

    def _steps(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Fill the free lanes and take steps without a look at the outcome; tokens and bits, (steps, rows)."""
        running = len(self.active)
        new = []
        while self.waiting and len(self.active) < len(self.cache.lengths):
            self.active.append(Row(self.waiting.popleft()))
            new.append(self.active[-1])
        room = self.request.limit - max(len(row.ids) for row in self.active)
        tokens, bits = [], []
        for _ in range(max(1, min(self.interval, room))):
            stretches = [(running + place, self.request.body(row)) for place, row in enumerate(new)]
            embeds = torch.cat([self.frozen.embed(self.chosen), *(body for _, body in stretches)])
            positions = self.cache.begin(running, [(lane, len(body)) for lane, body in stretches])
            ends = torch.tensor([len(body) for _, body in stretches], dtype=torch.long).cumsum(0) + running - 1
            logits = self._forward(embeds, positions, torch.cat([torch.arange(running), ends]))
            self.chosen = self._choose(logits, running, new)
            tokens.append(self.chosen)
            bits.append(entropy_bits(logits))
            running, new = len(self.active), []
        return torch.stack(tokens), torch.stack(bits)

    def _choose(self, logits: torch.Tensor, running: int, new: Sequence[Row]) -> torch.Tensor:
        """The likeliest token of each active row, the ``new`` ones last."""
        penalty = self.request.penalty
        if penalty is None:
            return logits.argmax(dim=1)
        if self.repetition is None:
            self.repetition = Repetition(penalty, len(self.cache.lengths), logits.shape[1], logits.device)
        for place, row in enumerate(new, running):
            self.repetition.begin(place, self.request.ids_before(row))
        chosen = self.repetition.applied(logits).argmax(dim=1)
        self.repetition.add(chosen)
        return chosen

    def _forward(self, embeds: torch.Tensor, positions: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Logits (len(wanted), V) in float32 at the flat places ``wanted``."""
        with attending(self.frozen.network, self.cache):
            output = self.frozen.network(
                inputs_embeds=embeds[None],
                position_ids=positions[None],
                use_cache=False,
                # A list where layers lie on several GPUs: a tensor would be sent to the first, away from the last states.
                logits_to_keep=wanted.tolist() if self.frozen.is_divided else wanted.to(embeds.device),
            )
        return output.logits[0].to(embeds.device).float()

    def _settle(self, tokens: torch.Tensor, bits: torch.Tensor) -> None:
        """Write the steps down, row by row, and close the lanes of the rows that have ended."""
        columns = zip(tokens.T.tolist(), bits.T.tolist(), strict=True)
        steps = zip(self.active, columns, strict=True)
        ended = [place for place, (row, column) in enumerate(steps) if self.request.take(row, *column)]
        for place in reversed(ended):
            self._close(place)
        self.request.on_step(sum(len(row.ids) for row in self.active) / self.request.limit)

    def _close(self, place: int) -> None:
        """Free a lane: the last active row moves there, so that the active rows stay side by side."""
        row, last = self.active[place], len(self.active) - 1
        if place != last:
            self.cache.copy(last, place)
            self.active[place] = self.active[last]
            self.chosen[place] = self.chosen[last]
            if self.repetition:
                self.repetition.move(last, place)
        self.active.pop()
        self.chosen = self.chosen[:last]
        self.cache.truncate(last, self.shared)
        self.finished[row.index] = row
        self.request.on_end(row)
