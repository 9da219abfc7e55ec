"""Decoding steps of fixed shapes, which a GPU replays as CUDA graphs instead of waiting for the host at each operation.

The shapes of a step depend on how many lanes run and on how many places of the cache are read, never on where a row stands:
the rows' lengths, their last tokens and what comes out are tensors on the device that a step changes in place. Each pair
of shapes is run once and captured, then replayed. Between two looks at the outcome nothing goes from host to device or
back. Where a graph cannot be captured the same step runs operation by operation and gives the same tokens.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch

from embedgrad_core.decoding.rows import Request, Row, entropy_bits
from embedgrad_core.decoding.static_cache import Filling, StaticCache, Stepping
from embedgrad_core.files import reason_of
from embedgrad_core.model.attention import Plan, attending
from embedgrad_core.model.memory import is_out_of_memory
from embedgrad_core.model.sizes import ROUND

# Steps between two looks at which rows have ended.
INTERVAL = 16
# Padded tokens of inputs that are read at a time.
PREFILL = 8192


class Buffers:
    """What the steps of a number of rows compute on, and the graphs that were captured over it.

    Attributes:
        cache: keys and values.
        tokens: (rows,) the last token of each.
        moves: (rows,) 1 where a row runs: its length grows.
        recent: (INTERVAL, rows) tokens since the last look.
        bits: (INTERVAL, rows) their entropies.
        at: (1,) steps since the last look.
        graphs: by rows and places read.
    """

    def __init__(self, rows: int, capacity: int, device: torch.device) -> None:
        self.cache = StaticCache(rows, capacity, device)
        self.tokens = torch.zeros(rows, dtype=torch.long, device=device)
        self.moves = torch.zeros(rows, dtype=torch.long, device=device)
        self.recent = torch.zeros(INTERVAL, rows, dtype=torch.long, device=device)
        self.bits = torch.zeros(INTERVAL, rows, device=device)
        self.at = torch.zeros(1, dtype=torch.long, device=device)
        self.graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}


class Workspace:
    """Buffers that several decodings of one model use one after the other, so that their graphs are captured once."""

    def __init__(self) -> None:
        self._kept: Buffers | None = None

    def buffers(self, rows: int, longest: int, context: int, device: torch.device) -> Buffers:
        """The kept ones where they are of the same size, else new ones in their place."""
        capacity = min(_rounded(longest), max(context, longest))
        kept = self._kept
        if kept is None or (kept.cache.rows, kept.cache.capacity) != (rows, capacity):
            self._kept = kept = None  # before new ones are made: both may not fit
            self._kept = kept = Buffers(rows, capacity, device)
        return kept

    def forget(self) -> None:
        """Give the memory back."""
        self._kept = None


class GraphedDecoder:
    """Rows in lanes that keep their place; a lane whose row has ended takes the next one.

    Args:
        wanted: indices of the bodies.
        rows: that run at a time.
        workspace: whose buffers are used.
        log: where to report that steps cannot be captured.

    Attributes:
        finished: the rows that have ended, by index.
    """

    def __init__(
        self, request: Request, wanted: Sequence[int], rows: int, workspace: Workspace, log: Callable[[str], None]
    ) -> None:
        self.request, self.frozen, self.log = request, request.frozen, log
        self.waiting = deque(wanted)
        self.finished: dict[int, Row] = {}
        self.lanes: list[Row | None] = [None] * rows
        self.on = workspace.buffers(rows, request.longest, self.frozen.context, self.frozen.device)
        self.cache = self.on.cache
        self.capturing = self.frozen.device.type == "cuda"

    def run(self) -> None:
        """Decode everything that is wanted into ``finished``."""
        prefix = self.request.prefix
        if len(prefix):
            self._read(prefix, Filling(self.cache, [0], 0, [len(prefix)]))
            self.cache.spread(0, len(prefix))
        while self.waiting or any(self.lanes):
            self._fill()
            if any(self.lanes):
                self._advance()
            self.request.on_step(sum(len(row.ids) for row in self.lanes if row) / self.request.limit)

    def _fill(self) -> None:
        """Give the free lanes to rows that wait; a row that ends with its first token leaves its lane at once."""
        while self.waiting and not all(self.lanes):
            free = [lane for lane, row in enumerate(self.lanes) if row is None][: len(self.waiting)]
            for lane in free:
                self.lanes[lane] = Row(self.waiting.popleft())
            for piece in self._pieces(free):
                rows = [row for lane in piece if (row := self.lanes[lane])]
                bodies = [self.request.body(row) for row in rows]
                plan = Filling(self.cache, piece, len(self.request.prefix), [len(body) for body in bodies])
                logits = self._read(torch.cat(bodies), plan)
                tokens, bits = logits.argmax(dim=1).tolist(), entropy_bits(logits).tolist()
                for lane, token, entropy in zip(piece, tokens, bits, strict=True):
                    self._take(lane, [token], [entropy])

    def _pieces(self, lanes: Sequence[int]) -> Iterator[list[int]]:
        """Lanes whose inputs are read together: of like length, so that little is padded."""
        first = len(self.request.prefix) + len(self.request.own)
        lengths = {lane: first + len(self.request.bodies[row.index]) for lane in lanes if (row := self.lanes[lane])}
        piece: list[int] = []
        for lane in sorted(lanes, key=lengths.__getitem__):
            if piece and (len(piece) + 1) * lengths[lane] > PREFILL:
                yield piece
                piece = []
            piece.append(lane)
        yield piece

    def _read(self, embeds: torch.Tensor, plan: Filling) -> torch.Tensor:
        """Logits (rows, V) in float32 after the last token of each input."""
        return self._forward(embeds, plan.places, plan, plan.ends)

    def _forward(self, embeds: torch.Tensor, positions: torch.Tensor, plan: Plan, keep: object) -> torch.Tensor:
        with attending(self.frozen.network, plan):
            output = self.frozen.network(
                inputs_embeds=embeds[None], position_ids=positions[None], use_cache=False, logits_to_keep=keep
            )
        return output.logits[0].float()

    def _advance(self) -> None:
        """Steps of all rows that run, then one look at what came out."""
        if not self.waiting:
            self._close_ranks()
        rows, limit = len(self.lanes), self.request.limit
        # A free lane goes over its last place again and again, where no row has anything yet that it could spoil.
        lengths = [self._length(row) if row else self.cache.capacity - 1 for row in self.lanes]
        self._send(self.cache.lengths, lengths)
        self._send(self.on.tokens, [row.ids[-1] if row else 0 for row in self.lanes])
        self._send(self.on.moves, [int(row is not None) for row in self.lanes])
        self.on.at.zero_()
        running = [(row, length) for row, length in zip(self.lanes, lengths, strict=True) if row]
        steps = max(1, min(INTERVAL, limit - max(len(row.ids) for row, _ in running)))
        read = _rounded(max(length for _, length in running) + steps)
        for _ in range(steps):
            self._step(rows, min(read, self.cache.capacity))
        tokens, bits = self.on.recent[:steps, :rows].T.tolist(), self.on.bits[:steps, :rows].T.tolist()
        for lane in range(rows):
            if self.lanes[lane]:
                self._take(lane, tokens[lane], bits[lane])

    def _length(self, row: Row) -> int:
        """Tokens of a row that the cache holds: all but the last one."""
        body = len(self.request.own) + len(self.request.bodies[row.index])
        return len(self.request.prefix) + body + len(row.ids) - 1

    def _send(self, target: torch.Tensor, values: list[int]) -> None:
        target[: len(values)].copy_(torch.tensor(values))

    def _close_ranks(self) -> None:
        """Where nothing waits and at most half of the lanes run, go on with half as many, as often as that holds."""
        while len(self.lanes) > 1 and sum(row is not None for row in self.lanes) <= len(self.lanes) // 2:
            kept, rest = self.lanes[: len(self.lanes) // 2], self.lanes[len(self.lanes) // 2 :]
            for place, row in enumerate(rest, len(kept)):
                if row:
                    free = kept.index(None)
                    self.cache.move(place, free, self._length(row))
                    kept[free] = row
            self.lanes = kept

    def _step(self, rows: int, read: int) -> None:
        """One token for each of the first ``rows`` lanes, from the first ``read`` places of the cache."""
        graph = self.on.graphs.get((rows, read))
        if graph:
            graph.replay()
            return
        self._compute(rows, read)
        if self.capturing:  # that run warmed it up; capturing computes nothing
            try:
                self._capture(rows, read)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                self.capturing = False
                reason = reason_of(error)
                self.log(f"steps are not captured as CUDA graphs ({reason}); going on without, results are the same")

    def _capture(self, rows: int, read: int) -> None:
        graph = torch.cuda.CUDAGraph()
        # One pool of memory for all: they never run at the same time.
        pool = next(iter(self.on.graphs.values())).pool() if self.on.graphs else None
        with torch.cuda.graph(graph, pool=pool):
            self._compute(rows, read)
        self.on.graphs[rows, read] = graph

    def _compute(self, rows: int, read: int) -> None:
        """The step itself: reads and changes tensors in place, looks at none of them."""
        on = self.on
        embeds = self.frozen.embed(on.tokens[:rows])
        places = self.cache.lengths[:rows]
        logits = self._forward(embeds, places, Stepping(self.cache, places, read), 0)
        chosen = logits.argmax(dim=1)
        on.tokens[:rows] = chosen
        on.recent[:, :rows].index_copy_(0, on.at, chosen[None])
        on.bits[:, :rows].index_copy_(0, on.at, entropy_bits(logits)[None])
        self.cache.lengths.add_(on.moves)
        on.at.add_(1)

    def _take(self, lane: int, tokens: Sequence[int], bits: Sequence[float]) -> None:
        row = self.lanes[lane]
        if row and self.request.take(row, tokens, bits):
            self.lanes[lane] = None
            self.finished[row.index] = row
            self.request.on_end(row)


def _rounded(places: int) -> int:
    return -(-places // ROUND) * ROUND
