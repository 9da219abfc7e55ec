"""What a job spends before its work: imports, and weights from the disk or from the memory of a node that has read them before.

python benchmarks/loading.py     # Qwen2.5-0.5B's shape, bfloat16, random weights
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from shapes import SHAPES, build

CHILD = """
import json, sys, time
started = time.perf_counter()
from embedgrad_core.model.loading import load_model
imported = time.perf_counter()
load_model(sys.argv[1], device="cpu", dtype="bfloat16", log=lambda line: None)
print(json.dumps([imported - started, time.perf_counter() - imported]))
"""


def save(folder: Path, shape: str) -> int:
    """A checkpoint of random weights; its bytes."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    network, _ = build(shape, SHAPES[shape]["layers"], "cpu", torch.bfloat16)
    network.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), eos_token="<e>").save_pretrained(folder)
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def forget(folder: Path) -> None:
    """Have the system drop the weights from memory, so that the next reader goes to the disk."""
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def load(folder: Path) -> tuple[float, float]:
    """Seconds of imports and of loading in a process of its own."""
    run = subprocess.run([sys.executable, "-c", CHILD, folder], check=True, capture_output=True, text=True)
    imports, weights = json.loads(run.stdout)
    return imports, weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="qwen2.5-0.5b", choices=SHAPES)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        size = save(folder, arguments.shape)
        cold, warm, imports = [], [], []
        for _ in range(arguments.repeats):
            forget(folder)
            for seconds in (cold, warm):
                one, two = load(folder)
                imports.append(one)
                seconds.append(two)
    print(f"weights {size / 1e9:.2f} GB; imports {min(imports):.1f} s")
    print(
        f"from the disk {min(cold):.1f} s, read before on this node {min(warm):.1f} s, ratio {min(cold) / min(warm):.1f}"
    )


if __name__ == "__main__":
    main()
