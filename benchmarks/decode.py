"""Greedy decoding: ours against transformers ``generate`` and vLLM, the same rows and limits, interleaved.

A heterogeneous workload: a third of the rows run to the limit, the rest end after 16-96 tokens.

    python benchmarks/decode.py --layers 4              # native and generate
    python benchmarks/decode.py --layers 4 --vllm       # and vLLM, where it is installed
"""

import argparse
import random
import tempfile
from pathlib import Path

import torch
from measure import interleaved, machine, write
from shapes import SHAPES, build, slot_of
from transformers import StoppingCriteria, StoppingCriteriaList

from embedgrad_core.decoding import greedy as native
from embedgrad_core.model.kernels import packed_weights


class Limits(StoppingCriteria):
    """Row-wise limits for ``generate``: what an end token would do."""

    def __init__(self, limits: list[int]) -> None:
        self.limits = torch.tensor(limits)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        return input_ids.shape[1] >= self.limits.to(input_ids.device)


class Sides:
    """The ways to answer one workload; each returns the rows' token ids."""

    def __init__(self, plain, frozen, arguments: argparse.Namespace) -> None:
        chance = random.Random(0)
        self.plain, self.frozen, self.arguments = plain, frozen, arguments
        self.bodies = [
            [chance.randrange(1000, 150_000) for _ in range(chance.randint(20, 80))] for _ in range(arguments.rows)
        ]
        self.limits = [
            arguments.limit if row % 3 == 0 else chance.randint(16, min(96, arguments.limit))
            for row in range(arguments.rows)
        ]
        self.slot = slot_of(20)
        self.vectors = frozen.embed(torch.tensor(self.slot.prompt_ids)).float()
        self.found: dict[str, list[list[int]]] = {}
        self.entropy_seconds = 0.0
        # Random weights name no end token at will, so a row's end is forced: the same for all sides.
        native.Request._has_ended = lambda _, row: len(row.ids) >= self.limits[row.index]

    def native(self, _: int) -> None:
        # The frozen weights are packed inside the measured time, as a run has to.
        with packed_weights(self.frozen.network):
            rows = native.greedy(
                self.frozen,
                self.slot,
                self.vectors,
                self.bodies,
                self.arguments.limit,
                [],
                batch_size=self.arguments.batch_size,
            )
        self.found["native"] = [row.ids for row in rows]
        self.bits = [row.bits for row in rows]

    @torch.inference_mode()
    def generate(self, _: int) -> None:
        shared = self.vectors.to(self.frozen.device, self.frozen.dtype)
        self.found["generate"] = []
        size = self.arguments.batch_size
        for start in range(0, len(self.bodies), size):
            bodies, limits = self.bodies[start : start + size], self.limits[start : start + size]
            longest = max(map(len, bodies)) + len(shared)
            embeds = torch.zeros(len(bodies), longest, shared.shape[1], dtype=shared.dtype, device=shared.device)
            mask = torch.zeros(len(bodies), longest, dtype=torch.long, device=shared.device)
            for row, body in enumerate(bodies):
                whole = torch.cat([shared, self.frozen.embed(torch.tensor(body))])
                embeds[row, longest - len(whole) :] = whole
                mask[row, longest - len(whole) :] = 1
            ids = self.plain.generate(
                inputs_embeds=embeds,
                attention_mask=mask,
                max_new_tokens=self.arguments.limit,
                do_sample=False,
                pad_token_id=0,
                stopping_criteria=StoppingCriteriaList([Limits(limits)]),
            )
            self.found["generate"] += [row[:limit].tolist() for row, limit in zip(ids, limits, strict=True)]

    def start_vllm(self, folder: str) -> None:
        from embedgrad_core.decoding.vllm_engine import load_vllm
        from embedgrad_core.model.frozen import FrozenModel

        self.plain.save_pretrained(folder)
        here = FrozenModel(self.frozen.network, None, folder, "main", "random")
        longest = max(map(len, self.bodies)) + 20 + self.arguments.limit
        self.llm = {size: load_vllm(here, longest, size) for size in self.arguments.vllm_sequences}

    def vllm(self, size: int) -> None:
        from embedgrad_core.decoding.vllm_engine import vllm_greedy

        rows = vllm_greedy(
            self.frozen, self.slot, self.vectors, self.bodies, self.limits, [], batch_size=size, llm=self.llm[size]
        )
        self.found[f"vllm{size}"] = [row.ids for row in rows]
        self.vllm_bits = [row.bits for row in rows]


@torch.inference_mode()
def plain_argmax(sides: Sides) -> list[list[int]]:
    """The plainest loop: one row at a time, argmax of the model's own logits with transformers' own cache."""
    answers = []
    for body, limit in zip(sides.bodies, sides.limits, strict=True):
        shared = sides.vectors.to(sides.frozen.device, sides.frozen.dtype)
        embeds = torch.cat([shared, sides.frozen.embed(torch.tensor(body))])[None]
        output, ids = sides.plain(inputs_embeds=embeds, use_cache=True, logits_to_keep=1), []
        while True:
            ids.append(int(output.logits[0, -1].argmax()))
            if len(ids) == limit:
                break
            step = torch.tensor([[ids[-1]]], device=shared.device)
            output = sides.plain(input_ids=step, past_key_values=output.past_key_values, use_cache=True)
        answers.append(ids)
    return answers


def first_difference(sides: Sides, name: str, expected: list[list[int]]) -> list[dict]:
    """For each row that differs: the step, and the gap between the two best logits there."""
    rows = []
    for row, (found, wanted) in enumerate(zip(sides.found[name], expected, strict=True)):
        if found == wanted:
            continue
        step = next(place for place, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
        shared = sides.vectors.to(sides.frozen.device, sides.frozen.dtype)
        ids = torch.tensor([*sides.bodies[row], *wanted[:step]], dtype=torch.long)
        with torch.inference_mode():
            logits = sides.plain(inputs_embeds=torch.cat([shared, sides.frozen.embed(ids)])[None]).logits[0, -1].float()
        best = logits.topk(2).values
        rows.append({"row": row, "step": step, "gap": float(best[0] - best[1])})
    return rows


def entropy_share(sides: Sides) -> float:
    """Part of a native step that goes into Eq. 11: both measured at this batch size."""
    from torch.utils.benchmark import Timer

    vocabulary = sides.frozen.network.config.vocab_size
    logits = torch.randn(sides.arguments.batch_size, vocabulary, device=sides.frozen.device)
    timer = Timer("entropy_bits(logits)", globals={"entropy_bits": native.entropy_bits, "logits": logits})
    timer.num_threads = torch.get_num_threads()
    return timer.blocked_autorange(min_run_time=1).median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-shape", choices=SHAPES, default="qwen2.5-0.5b")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--limit", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--vllm", action="store_true")
    parser.add_argument("--vllm-sequences", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--no-check", action="store_true", help="skip the comparison with a plain argmax loop")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    dtype = torch.bfloat16 if arguments.device == "cuda" else torch.float32
    plain, frozen = build(arguments.model_shape, arguments.layers, arguments.device, dtype)
    sides = Sides(plain, frozen, arguments)
    runs = {"generate": sides.generate, "native": sides.native}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.vllm:
            sides.start_vllm(folder)
            for size in arguments.vllm_sequences:
                runs[f"vllm{size}"] = lambda _, size=size: sides.vllm(size)
        rows = interleaved(runs, arguments.repeats, arguments.device)
    tokens = sum(sides.limits)
    steps = sum(sides.limits) / arguments.batch_size
    result = {"machine": machine(arguments.device), "arguments": {k: str(v) for k, v in vars(arguments).items()}}
    result |= {"tokens": tokens, "sides": rows}
    result["speed_ratio"] = rows["generate"]["seconds"] / rows["native"]["seconds"]
    result["entropy_share"] = entropy_share(sides) * steps / rows["native"]["seconds"]
    expected = None if arguments.no_check else plain_argmax(sides)
    for name, row in rows.items():
        row["tokens_per_s"] = tokens / row["seconds"]
        row["over_generate"] = rows["generate"]["seconds"] / row["seconds"]
        row["differing_rows"] = first_difference(sides, name, expected) if expected else None
        same = (
            "" if expected is None else f"{len(expected) - len(row['differing_rows'])}/{len(expected)} rows identical"
        )
        print(f"{name:9}{row['seconds']:8.1f} s{row['tokens_per_s']:8.0f} tokens/s{row['over_generate']:6.2f}x  {same}")
        for difference in row["differing_rows"] or []:
            print(f"          row {difference['row']}: step {difference['step']}, logit gap {difference['gap']:.2g}")
    if arguments.vllm:
        fastest = min((name for name in rows if name.startswith("vllm")), key=lambda name: rows[name]["seconds"])
        result["vllm_speed_ratio"] = rows[fastest]["over_generate"]
        result["native_over_vllm_seconds"] = rows["native"]["seconds"] / rows[fastest]["seconds"]
    if expected:
        result["tokens_identical"] = not rows["native"]["differing_rows"]
    print(f"native over generate: {result['speed_ratio']:.2f}; entropy: {result['entropy_share']:.1%} of native's time")
    write(arguments.json, result)


if __name__ == "__main__":
    main()
