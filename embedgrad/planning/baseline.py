"""What a job takes on this machine before its model counts: measured in a process of its own, once.

How much of the libraries' files is resident differs by a fifth and more from one machine to the next (kernel, file system, kind of
CPU), and so do the seconds of their import. So neither is a constant where a forecast is for the machine at hand: a small job
is run that imports what every job imports, loads a model of 3M parameters, takes steps and answers. Its peak, less what the
arithmetic of :mod:`embedgrad_core.model.costs` gives for that model, is what the libraries take. It costs as much as any job's
start, so ``embedgrad plan`` keeps it in the user's cache. The workflow does not measure: its jobs may run on other machines
than the one that plans, and planning imports no torch.

    python -m embedgrad.planning.baseline          # measures and prints it, as JSON
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from embedgrad.planning.gpus import ASSUMED, Baseline
from embedgrad.runtime import startup
from embedgrad_core.files import UserError, read_json, write_json
from embedgrad_core.model.costs import Shape, process_bytes

# A start may take minutes while others use the machine, or the libraries come from a shared disk.
LIMIT = 600
# Of the model: one layer, and every weight large enough for oneDNN (sizes.SMALLEST), whose code is resident from then on.
VOCABULARY, WIDTH, FEED_FORWARD, HEADS = 1024, 512, 1024, 8
PROMPT, BODY, TARGET, ITEMS, ROWS, NEW = 16, 32, 8, 4, 16, 8
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors")


def baseline() -> Baseline:
    """Of this machine and environment: from the user's cache, else measured; the assumptions where neither can be (no Linux)."""
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "embedgrad" / "baseline.json"
    key = _key()
    with contextlib.suppress(OSError, UserError, TypeError, KeyError):
        kept = read_json(place)
        if kept["key"] == key:
            return Baseline(int(kept["libraries"]), float(kept["start"]))
    found = measured()
    if found is None:
        return ASSUMED
    with contextlib.suppress(OSError, UserError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place, asdict(found) | {"key": key})
    return found


def measured(threads: int | None = None) -> Baseline | None:
    """Run the small job (Linux); None where that fails.

    Args:
        threads: of the job; each has buffers of its own. By default as many as torch takes.
    """
    if not Path("/proc/self/status").exists():
        return None
    command = [sys.executable, "-m", __name__, *([str(threads)] if threads else [])]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT)
        return Baseline(**json.loads(run.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, LookupError, ValueError, TypeError):
        return None


def _key() -> list[str]:
    """What the figures hold for: home folders are shared between machines, machines between environments."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return [platform.node(), platform.release(), sys.prefix, os.environ.get("OMP_NUM_THREADS", ""), *versions]


def job(threads: int | None) -> Baseline:
    """The small job itself, in this process, which must have done nothing before."""
    startup.shorten()
    import torch
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    import embedgrad.api  # noqa: F401
    from embedgrad_core import Layout, Slot, load_model
    from embedgrad_core.decoding.greedy import greedy
    from embedgrad_core.model.kernels import packed_weights
    from embedgrad_core.objective import Example
    from embedgrad_core.training.step import MicroBatching, accumulate
    from embedgrad_core.training.trainable import prompt_vectors

    seconds = time.process_time()  # all that this process has done so far
    if threads:
        torch.set_num_threads(threads)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        tie_word_embeddings=True,
        dtype="float32",
    )
    with tempfile.TemporaryDirectory() as folder:
        Qwen2ForCausalLM(config).save_pretrained(folder)
        words = Tokenizer(models.BPE({f"t{token}": token for token in range(VOCABULARY)}, []))
        PreTrainedTokenizerFast(tokenizer_object=words, eos_token="t0").save_pretrained(folder)
        frozen = load_model(folder, device="cpu", dtype="float32", log=lambda line: None)
    slot = Slot(frozen.tokenizer, Layout(), "", (), tuple(range(PROMPT)))
    vectors = frozen.embed(torch.tensor(slot.prompt_ids)).float().clone()
    examples = [Example(str(n), list(range(1, 1 + BODY)), list(range(1, 1 + TARGET))) for n in range(ITEMS)]
    for _ in range(3):
        accumulate(prompt_vectors(frozen, slot, vectors.requires_grad_()), examples, MicroBatching())
    with packed_weights(frozen.network):
        greedy(frozen, slot, vectors.detach(), [list(range(1, 1 + BODY))] * ROWS, NEW, [], batch_size=ROWS)
    shape = Shape.of(config)
    own, attended = PROMPT + ITEMS * (BODY + TARGET - 1), ITEMS * (PROMPT + BODY + TARGET - 1)
    step = shape.step_bytes(own, ITEMS * TARGET, 4, attended=attended, heap=True)
    answers = shape.packed_bytes(4) + shape.decoding_bytes(ROWS, PROMPT, BODY, NEW, 4)
    return Baseline(peak() - process_bytes(shape, 4, max(step, answers), libraries=0), round(seconds, 1))


def peak() -> int:
    """Bytes: this process's high-water mark of resident memory (Linux). Not ``getrusage``, which starts from the parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    print(json.dumps(asdict(job(int(sys.argv[1]) if sys.argv[1:] else None))))
