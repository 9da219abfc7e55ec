"""The vLLM engine against the native one; real weights, a process of its own (vLLM binds threads for good)."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from embedgrad_core import Layout, LoopRule, PromptEmbedding, Slot, load_model
from embedgrad_core.decode_vllm import vllm_greedy
from embedgrad_core.greedy import greedy

frozen = load_model(sys.argv[1])
slot = Slot.place(frozen.tokenizer, Layout(), "Once upon a time there was a girl.")
vectors = PromptEmbedding.from_text(frozen, slot).vectors + 0.01
texts = ["She liked to play", "One day", "The dog and the cat were", "Tom said to", "Her name", "It was a big"]
bodies = [slot.body_ids(text) for text in texts]
stops = (*frozen.stop_ids(), greedy(frozen, slot, vectors, bodies[:1], 20, ())[0].ids[12])
native = greedy(frozen, slot, vectors, bodies, 48, stops, batch_size=3)
vllm = vllm_greedy(frozen, slot, vectors, bodies, 48, stops, batch_size=3)
assert len({len(row.ids) for row in native}) > 1, "rows must end at different steps"
for a, b in zip(native, vllm, strict=True):
    assert a.ids == b.ids, (a.ids, b.ids)
    assert max(abs(x - y) for x, y in zip(a.bits, b.bits, strict=True)) < 1e-3
print("same")
"""


def test_tokens_and_entropies_equal_the_native_engine(mirror):
    found = subprocess.run([sys.executable, "-c", "import vllm"], capture_output=True, check=False).returncode == 0
    if not found:
        pytest.skip("vLLM is not installed (docs/performance.md says how)")
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(mirror / "models" / "stories3M")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.stdout.splitlines()[-1:] == ["same"], run.stderr[-2000:]
