"""Forecast and measured peak memory of loading, a step and decoding: a fresh process for each measurement, on a CPU.

The peak is the process's own high-water mark of resident memory from its start to the end of the phase, imports and
loading included, as a scheduler sees it (Linux). Weights are random; the shapes are true ones.

    python benchmarks/memory.py                       # all sizes, fp32, and one in bf16
    python benchmarks/memory.py --sizes 25m 135m
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from measure import machine, write
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from embedgrad.planning.baseline import measured, peak
from embedgrad_core.model.costs import Shape, process_bytes

# layers, width, feed-forward, heads, groups, vocabulary: a small one; SmolLM2-135M and -360M; Qwen2.5-0.5B.
SIZES = {
    "7m": (4, 256, 1024, 4, 2, 8_000),
    "25m": (8, 384, 1536, 6, 2, 32_000),
    "135m": (30, 576, 1536, 9, 3, 49_152),
    "360m": (32, 960, 2560, 15, 5, 49_152),
    "0.5b": (24, 896, 4864, 14, 2, 151_936),
}
K = 18
PHASES = ("load", "step", "step, checkpointing", "gate", "decode")
ITEMS, BODY, TARGET = 5, 140, 40  # of a step
ROWS, INPUT, NEW = 16, 60, 24  # of decoding


@dataclass(frozen=True)
class Measured:
    """One size and phase.

    Attributes:
        size: of the model.
        phase: what ran.
        dtype: of the weights in memory; ``stored`` in the file.
        stored: of the weights in the file.
        forecast: bytes.
        peak: bytes measured.
        libraries: bytes that the libraries take on this machine, from a process of its own (embedgrad/planning/baseline.py).
    """

    size: str
    phase: str
    dtype: str
    stored: str
    forecast: int
    peak: int
    libraries: int

    @property
    def ratio(self) -> float:
        """Forecast over measured."""
        return self.forecast / self.peak

    @property
    def ratio_above(self) -> float:
        """The same for what stands above the libraries."""
        return (self.forecast - self.libraries) / (self.peak - self.libraries)


def forecast(shape: Shape, phase: str, width: int, libraries: int) -> int:
    """Bytes of a process that loads the model and runs a phase."""
    tokens, attended = K + ITEMS * (BODY + TARGET - 1), ITEMS * (K + BODY + TARGET - 1)
    above = {
        "load": 0,
        "step": shape.step_bytes(tokens, ITEMS * TARGET, width, attended=attended, heap=True),
        "step, checkpointing": shape.step_bytes(tokens, ITEMS * TARGET, width, True, attended, heap=True),
        "gate": shape.gate_bytes(K + BODY + TARGET, width),
        "decode": shape.packed_bytes(width) + shape.decoding_bytes(ROWS, K, INPUT, NEW, width),
    }
    return process_bytes(shape, width, above[phase], libraries)


def write_model(folder: Path, size: str, dtype: str) -> Shape:
    """A random checkpoint with a tokenizer of as many tokens."""
    layers, width, feed_forward, heads, groups, vocabulary = SIZES[size]
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        dtype=dtype,
    )
    with torch.device("meta"):
        network = Qwen2ForCausalLM(config).to(getattr(torch, dtype))
    network = network.to_empty(device="cpu")
    network.tie_weights()
    for weight in network.parameters():
        torch.nn.init.normal_(weight.data, std=0.02)
    network.save_pretrained(folder)
    write_tokenizer(folder, vocabulary)
    return Shape.of(json.loads((folder / "config.json").read_text()))


def write_tokenizer(folder: Path, vocabulary: int) -> None:
    """256 characters, then what merges make of them: all pairs, then triples. Merges are most of a real tokenizer's memory."""
    letters = [chr(256 + n) for n in range(256)]
    pairs = list(itertools.islice(itertools.product(letters, letters), vocabulary - 256))
    triples = (("".join(pair), letter) for pair in pairs for letter in letters)
    merges = [*pairs, *itertools.islice(triples, vocabulary - 256 - len(pairs))]
    tokens = {token: place for place, token in enumerate([*letters, *map("".join, merges)])}
    words = Tokenizer(models.BPE(tokens, merges))
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token=letters[0]).save_pretrained(folder)


def measure(folder: Path, phase: str, dtype: str, threads: int) -> int:
    """Bytes at the peak of a process of its own."""
    command = [sys.executable, __file__, "--child", str(folder), "--phase", phase, "--dtype", dtype]
    run = subprocess.run([*command, "--threads", str(threads)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr)
    return int(run.stdout.splitlines()[-1])


def child(folder: str, phase: str, dtype: str) -> None:
    from embedgrad_core import Layout, PromptEmbedding, Slot, check_step_zero, load_model
    from embedgrad_core.decoding.greedy import greedy
    from embedgrad_core.model.kernels import packed_weights
    from embedgrad_core.objective import Example
    from embedgrad_core.training.step import MicroBatching, accumulate
    from embedgrad_core.training.trainable import prompt_vectors

    frozen = load_model(folder, device="cpu", dtype=dtype, log=lambda line: None)
    slot = Slot(frozen.tokenizer, Layout(), "", (), tuple(range(1000, 1000 + K)))
    vectors = frozen.embed(torch.tensor(slot.prompt_ids)).float().clone()
    examples = [Example(str(n), list(range(1, 1 + BODY)), list(range(1, 1 + TARGET))) for n in range(ITEMS)]
    if phase.startswith("step"):
        for _ in range(3):
            accumulate(
                prompt_vectors(frozen, slot, vectors.requires_grad_()), examples, MicroBatching(2048, phase != "step")
            )
    elif phase == "gate":
        gate = sys.modules[check_step_zero.__module__]
        gate.encode = lambda *_: examples[:1]
        check_step_zero(frozen, PromptEmbedding(vectors, vectors, slot, {}), [])
    elif phase == "decode":
        with packed_weights(frozen.network):
            greedy(frozen, slot, vectors, [list(range(1, 1 + INPUT))] * ROWS, NEW, [], batch_size=ROWS)
    print(peak())


def table(sizes: list[str], phases: list[str], threads: int) -> list[Measured]:
    """Every size and phase in fp32; the file in fp32, but for loading, where it is bf16. The last size also in bf16."""
    rows, libraries = [], measured(threads).libraries
    print(f"libraries on this machine: {libraries / 1e6:.0f} MB")
    print(f"{'model':8}{'phase':24}{'weights':10}{'forecast MB':>12}{'measured MB':>12}{'ratio':>7}{'above':>7}")
    for size in sizes:
        plain = [(phase, "float32") for phase in phases if phase != "load"]
        half = [(phase, "bfloat16") for phase in ("step", "decode") if size == sizes[-1] and "load" in phases]
        loading = [("load", "float32")] if "load" in phases else []
        for stored, wanted in (("float32", plain), ("bfloat16", loading + half)):
            if not wanted:
                continue
            with tempfile.TemporaryDirectory() as folder:
                shape = write_model(Path(folder), size, stored)
                for phase, dtype in wanted:
                    found = measure(Path(folder), phase, dtype, threads)
                    expected = forecast(shape, phase, 4 if dtype == "float32" else 2, libraries)
                    rows.append(Measured(size, phase, dtype, stored, expected, found, libraries))
                    show(rows[-1])
    return rows


def show(row: Measured) -> None:
    name = row.phase if row.phase != "load" else "load, bf16 as fp32"
    print(
        f"{row.size:8}{name:24}{row.dtype:10}{row.forecast / 1e6:12.0f}{row.peak / 1e6:12.0f}"
        f"{row.ratio:7.2f}{row.ratio_above:7.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["25m", "135m", "360m", "0.5b"])
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=list(PHASES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--phase", choices=PHASES, default="step", help=argparse.SUPPRESS)
    parser.add_argument("--dtype", default="float32", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.child:
        child(arguments.child, arguments.phase, arguments.dtype)
        return
    rows = table(arguments.sizes, arguments.phases, arguments.threads)
    plain = [asdict(row) | {"ratio": row.ratio, "ratio_above": row.ratio_above} for row in rows]
    write(arguments.json, {"machine": machine("cpu"), "rows": plain})


if __name__ == "__main__":
    main()
