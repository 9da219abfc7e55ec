"""Decoding of true shapes with random weights: tokens per second over rows in flight, part of the bandwidth, generate beside it."""

import gc
import random
import time
from collections.abc import Iterator

import torch
from shapes import TRUE_SHAPES, build, slot_of

from embedgrad_core.decoding import graphed
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.decoding.rows import Request, entropy_bits
from embedgrad_core.model.costs import Shape
from gpu_parts.facts import measured, median_seconds
from gpu_parts.record import Context

LIMIT, ROWS, PROMPT = 128, (16, 64, 256), 20


def run(context: Context) -> None:
    """Smallest shape first."""
    bandwidth, _ = measured(context)
    for shape in ("small",) if context.small else TRUE_SHAPES:
        context.measure(
            "answers", lambda shape=shape: shape_rows(context, shape, bandwidth), 1 if context.small else 20
        )


def shape_rows(context: Context, shape: str, bandwidth: float | None) -> Iterator[dict]:
    """For each number of rows: all of a decoding, one of its steps alone, the entropy in it, and ``generate``."""
    cuda = context.device == "cuda"
    plain, frozen = build(shape, None, context.device, torch.bfloat16 if cuda else torch.float32)
    chance, slot = random.Random(0), slot_of(PROMPT)
    vectors = frozen.embed(torch.tensor(slot.prompt_ids)).float()
    limit = 8 if context.small else LIMIT
    for rows in (4,) if context.small else ROWS:
        bodies = [[chance.randrange(1000, 150_000) for _ in range(chance.randint(20, 80))] for _ in range(rows)]
        for side in ("graphed", "growing", "generate"):
            row = {"shape": shape, "rows": rows, "side": side}
            if side != "graphed" and (rows > 64 or (shape != "qwen2.5-0.5b" and side == "growing")):
                continue
            if context.left() < (1 if context.small else 15):
                yield {**row, "cut": "no time left in the box"}
                continue
            try:
                if side == "graphed":
                    yield {**row, **one_step(frozen, slot, vectors, bodies, limit, bandwidth, cuda)}
                begun, lines = time.perf_counter(), []
                if side == "generate":
                    generate(plain, frozen, vectors, bodies, limit)
                else:
                    how = {"batch_size": rows, "graphed": side == "graphed", "log": lines.append}
                    greedy(frozen, slot, vectors, bodies, limit, [], **how)
                if cuda:
                    torch.cuda.synchronize()
            except torch.OutOfMemoryError:
                yield {**row, "error": "out of memory"}
                continue
            seconds = time.perf_counter() - begun
            yield {**row, "seconds": seconds, "tokens_per_s": rows * limit / seconds, "said": lines}
    del plain, frozen
    gc.collect()


@torch.inference_mode()
def one_step(
    frozen, slot, vectors: torch.Tensor, bodies: list[list[int]], limit: int, bandwidth: float | None, cuda: bool
) -> dict:
    """A step in the middle of a decoding, replayed where it could be captured; what it reads over the machine's copy rate."""
    nothing = {"stop_on_loop": None, "on_end": lambda row: None, "on_step": lambda begun: None}
    request, lines = Request(frozen, slot, vectors, bodies, limit, [], **nothing), []
    decoder = graphed.GraphedDecoder(request, range(len(bodies)), len(bodies), graphed.Workspace(), lines.append)
    decoder._read(request.prefix, graphed.Filling(decoder.cache, [0], 0, [len(request.prefix)]))
    decoder.cache.spread(0, len(request.prefix))
    decoder._fill()
    read = min(decoder.cache.capacity, graphed.ROUND)
    lengths = [decoder._length(row) for row in decoder.lanes]
    decoder._send(decoder.cache.lengths, lengths)  # `moves` stays 0: the same step again and again

    def step() -> None:
        decoder.on.at.zero_()
        decoder._step(len(bodies), read)

    seconds = median_seconds(step, cuda, 20 if cuda else 3)
    logits = torch.randn(len(bodies), frozen.network.config.vocab_size, device=frozen.device)
    entropy = median_seconds(lambda: entropy_bits(logits), cuda, 20 if cuda else 3)
    sizes, width = Shape.of(frozen.network.config), frozen.dtype.itemsize
    touched = sizes.bytes_a_decoding_step(width) + sizes.cache_bytes(len(bodies) * read, width)
    row = {
        "step_seconds": seconds,
        "entropy_share": entropy / seconds,
        "captured": bool(decoder.on.graphs),
        "told": lines,
    }
    return row | ({"share_of_bandwidth": touched / seconds / bandwidth} if bandwidth else {})


@torch.inference_mode()
def generate(plain, frozen, vectors: torch.Tensor, bodies: list[list[int]], limit: int) -> None:
    """transformers' own loop over the same rows at once, padded on the left; all run to the limit."""
    shared = vectors.to(frozen.device, frozen.dtype)
    longest = max(map(len, bodies)) + len(shared)
    embeds = torch.zeros(len(bodies), longest, shared.shape[1], dtype=shared.dtype, device=shared.device)
    mask = torch.zeros(len(bodies), longest, dtype=torch.long, device=shared.device)
    for row, body in enumerate(bodies):
        whole = torch.cat([shared, frozen.embed(torch.tensor(body))])
        embeds[row, longest - len(whole) :] = whole
        mask[row, longest - len(whole) :] = 1
    plain.generate(
        inputs_embeds=embeds,
        attention_mask=mask,
        max_new_tokens=limit,
        min_new_tokens=limit,
        do_sample=False,
        pad_token_id=0,
    )
