"""The core's oracles on the device: loss and gradient, the gate, decoding, resuming, memory that runs out, weights that stay."""

import copy
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import reference  # tests/support/reference.py: forty plain lines that share nothing with the core
import torch
from tiny import tiny_model, tiny_tokenizer

from embedgrad_core import FrozenModel, Layout, PromptEmbedding, Settings, Slot, check_step_zero, optimize
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.files import Item
from embedgrad_core.objective import Example, encode
from embedgrad_core.training.step import MicroBatching, accumulate
from embedgrad_core.training.trainable import prompt_vectors
from gpu_parts.record import Context

PROMPT = "please reason step by step."
WORDS = ("step", "positive", "12 + 30", "the statement", "No", "x y", "then it is not", "42")
LIMIT = 40
# What differs by rounding alone: relative differences of losses and gradients, by dtype.
BOUND = {torch.float32: 1e-4, torch.bfloat16: 5e-2}


def run(context: Context) -> None:
    """In fp32 with every bound, then in bf16, which counts what flips."""
    torch.backends.cuda.matmul.allow_tf32 = False
    for dtype in (torch.float32, torch.bfloat16):
        case = Case(context.device, dtype)
        for check in (loss_and_gradient, gate, weights, decoding, invariance, resuming, out_of_memory):
            name = f"{check.__name__.replace('_', ' ')}, {str(dtype).removeprefix('torch.')}"
            context.measure(name, lambda check=check, case=case: check(case), 3)


class Case:
    """A small model of two families on the device, and the same in fp32 on the CPU for the oracle."""

    def __init__(self, device: str, dtype: torch.dtype) -> None:
        tokenizer = tiny_tokenizer()
        self.dtype = dtype
        self.pairs: list[tuple[FrozenModel, FrozenModel]] = []
        for family in ("qwen2", "llama"):
            wide = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3}
            on_cpu = tiny_model(tokenizer, family, **wide)
            network = copy.deepcopy(on_cpu.network).to(device, dtype)
            # The oracle computes in fp32 with the very weights that the device has.
            on_cpu.network.load_state_dict({key: value.float().cpu() for key, value in network.state_dict().items()})
            self.pairs.append((FrozenModel(network, tokenizer, family, "main", "random"), on_cpu))
        self.items = [
            Item(f"item/{n}", " ".join(WORDS[: n % 8 + 1]), WORDS[n % 8], WORDS[n % 8], None) for n in range(24)
        ]

    def prompts(self) -> Iterator[tuple[FrozenModel, FrozenModel, PromptEmbedding]]:
        """Model, oracle, prompt."""
        for frozen, oracle in self.pairs:
            slot = Slot.place(frozen.tokenizer, Layout(), PROMPT)
            yield frozen, oracle, PromptEmbedding.from_text(frozen, slot)


def loss_and_gradient(case: Case) -> Iterator[dict]:
    """Eq. 6 and its gradient against the plain reference on the CPU."""
    for frozen, oracle, prompt in case.prompts():
        slot, items = prompt.slot, case.items[:8]
        vectors = prompt.initial.detach().float().to(frozen.device, copy=True).requires_grad_()
        loss, _ = accumulate(
            prompt_vectors(frozen, slot, vectors), encode(slot, items, frozen.context), MicroBatching(64)
        )
        plain = prompt.initial.detach().float().to("cpu", copy=True).requires_grad_()
        rows = [(slot.head_ids, slot.body_ids(item.input), slot.target_ids(item)) for item in items]
        expected = sum(reference.item_loss(oracle.network, plain, *row) for row in rows)
        expected.backward()
        gradient = float((vectors.grad.cpu() - plain.grad).norm() / plain.grad.norm())
        loss_off = abs(loss - float(expected)) / float(expected)
        yield {"family": frozen.name, "loss_difference": loss_off, "gradient_difference": gradient} | verdict(
            max(loss_off, gradient) <= BOUND[case.dtype]
        )


def gate(case: Case) -> Iterator[dict]:
    """Text path against embeddings path at step 0; raises where it fails."""
    for frozen, _, prompt in case.prompts():
        found = check_step_zero(frozen, prompt, case.items)
        yield {"family": frozen.name, "logit_difference": found.max_logit_difference} | verdict(True)


def weights(case: Case) -> Iterator[dict]:
    """A run changes no weight."""
    for frozen, _, prompt in case.prompts():
        before = weights_hash(frozen)
        optimize(frozen, prompt, case.items[:16], case.items[16:], Settings(0.01, 1), log=print)
        greedy(frozen, prompt.slot, prompt.vectors, bodies(case, prompt)[:4], 8, ())
        yield {"family": frozen.name} | verdict(weights_hash(frozen) == before)


def decoding(case: Case) -> Iterator[dict]:
    """Each decoder's tokens against a plain argmax loop on the same device; where a row differs, by how much the best logit led."""
    for frozen, _, prompt in case.prompts():
        slot, own = prompt.slot, bodies(case, prompt)
        expected = [plain_argmax(frozen, prompt.vectors, body) for body in own]
        for name, graphed in (("graphed", True), ("growing", False)):
            lines: list[str] = []
            found = greedy(
                frozen, slot, prompt.vectors, own, LIMIT, (), batch_size=8, graphed=graphed, log=lines.append
            )
            gaps = [
                lead[first_difference(row.ids, ids)]
                for row, (ids, lead) in zip(found, expected, strict=True)
                if row.ids != ids
            ]
            exact = case.dtype is torch.float32
            yield {
                "family": frozen.name,
                "decoder": name,
                "rows": len(own),
                "differing": len(gaps),
                "largest_gap": max(gaps, default=0.0),
                "told": lines,
            } | verdict(not gaps if exact else all(gap < 0.25 for gap in gaps))


def invariance(case: Case) -> Iterator[dict]:
    """Rows answered differently alone than together."""
    for frozen, _, prompt in case.prompts():
        own = bodies(case, prompt)
        together, alone = (greedy(frozen, prompt.slot, prompt.vectors, own, LIMIT, (), batch_size=n) for n in (24, 1))
        flipped = sum(a.ids != b.ids for a, b in zip(together, alone, strict=True))
        yield {"family": frozen.name, "rows": len(own), "flipped": flipped} | verdict(
            flipped == 0 or case.dtype is not torch.float32
        )


def resuming(case: Case) -> Iterator[dict]:
    """Stopped after an epoch and gone on: the bytes of a run that was not; and of the same run again."""
    for frozen, _, prompt in case.prompts():
        split = (case.items[:16], case.items[16:])
        whole, again = (optimize(frozen, prompt, *split, Settings(0.01, 3), log=print)[0] for _ in range(2))
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state"

            def stop(line: dict) -> None:
                if line["epoch"] == 1:
                    raise KeyboardInterrupt

            with suppress(KeyboardInterrupt):
                optimize(frozen, prompt, *split, Settings(0.01, 3), state=state, on_epoch=stop, log=print)
            resumed = optimize(frozen, prompt, *split, Settings(0.01, 3), state=state, log=print)[0]
        same, repeats = torch.equal(whole.vectors, resumed.vectors), torch.equal(whole.vectors, again.vectors)
        off = float((whole.vectors - resumed.vectors).abs().max())
        yield {"family": frozen.name, "same_bytes": same, "run_repeats": repeats, "largest_difference": off} | verdict(
            same or not repeats
        )


def out_of_memory(case: Case) -> Iterator[dict]:
    """Real exhaustion of the device's memory: decoding halves its rows, a step its tokens, and the results stay."""
    if case.pairs[0][0].device.type != "cuda":
        yield {"cut": "only a GPU's memory can be made to run out"}
        return
    frozen, _, prompt = next(iter(case.prompts()))
    slot, own, lines = prompt.slot, bodies(case, prompt), []
    few = greedy(frozen, slot, prompt.vectors, own, LIMIT, (), batch_size=4)
    many, width = own * 400, frozen.dtype.itemsize
    each = 2 * 3 * 2 * 16 * (60 + LIMIT) * width  # keys and values of a row of this small model
    with memory_limit(frozen, each * len(many) // 3):
        found = greedy(frozen, slot, prompt.vectors, many, LIMIT, (), batch_size=len(many), log=lines.append)
    differing = sum(a.ids != b.ids for a, b in zip(found, few * 400, strict=True))
    yield {"what": "answers", "told": lines[:3], "differing": differing} | verdict(bool(lines))
    examples, lines = [Example(str(n), [5 + n % 50] * 200, [7] * 4) for n in range(512)], []
    small, large = MicroBatching(2048), MicroBatching(10**6, log=lines.append)
    slopes = []
    for pieces in (small, large):
        vectors = prompt.initial.detach().float().to(frozen.device, copy=True).requires_grad_()
        # Of what 512 items need at once: a layer keeps about 10 rows of its width for each token.
        with memory_limit(frozen, 3 * 10 * 64 * 512 * 204 * width // 3 if pieces is large else None):
            accumulate(prompt_vectors(frozen, slot, vectors), examples, pieces)
        slopes.append(vectors.grad)
    off = float((slopes[0] - slopes[1]).norm() / slopes[0].norm())
    yield {"what": "a step", "told": lines[:3], "differing": off} | verdict(bool(lines) and off <= BOUND[case.dtype])


@contextmanager
def memory_limit(frozen: FrozenModel, room: int | None) -> Iterator[None]:
    """No more than ``room`` bytes beside what is in use; None: as it is."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(frozen.device).total_memory
    try:
        if room is not None:
            torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + room) / total))
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def bodies(case: Case, prompt: PromptEmbedding) -> list[list[int]]:
    """Of all items."""
    return [prompt.slot.body_ids(item.input) for item in case.items]


def first_difference(one: list[int], other: list[int]) -> int:
    """The step from which two answers part."""
    return next(at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)


@torch.inference_mode()
def plain_argmax(frozen: FrozenModel, vectors: torch.Tensor, body: list[int]) -> tuple[list[int], list[float]]:
    """The whole sequence again at each step, one row at a time: token ids, and by how much the best logit leads."""
    shared, tokens, gaps = vectors.to(frozen.device, frozen.dtype), [], []
    while len(tokens) < LIMIT:
        rest = frozen.embed(torch.tensor([*body, *tokens], dtype=torch.long))
        best = frozen.network(inputs_embeds=torch.cat([shared, rest])[None]).logits[0, -1].float().topk(2)
        tokens.append(int(best.indices[0]))
        gaps.append(float(best.values[0] - best.values[1]))
    return tokens, gaps


def weights_hash(frozen: FrozenModel) -> str:
    """sha256 over all weights, bit for bit."""
    found = hashlib.sha256()
    for name, tensor in sorted(frozen.network.state_dict().items()):
        found.update(name.encode() + tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def verdict(passed: bool) -> dict:
    """``ok``, as the report counts it."""
    return {"ok": bool(passed)}
