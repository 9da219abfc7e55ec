"""vLLM against the native engine: as engine, and serving exports. Processes of their own, since vLLM binds threads for good."""

import json
import os
import subprocess
import sys

import pytest
from families import moved

from embedgrad_core import Layout, load_model
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.export import export

SCRIPT = """
import sys
from embedgrad_core import Layout, LoopRule, PromptEmbedding, Slot, load_model
from embedgrad_core.decoding.vllm_engine import vllm_greedy
from embedgrad_core.decoding.greedy import greedy

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


# What reaches vLLM of tensor_parallel; no machine of these tests has two GPUs.
PARTS = """
import sys, vllm
from embedgrad_core import Layout, PromptEmbedding, Slot, load_model
from embedgrad_core import Decoding, decode
from embedgrad_core.files import Item, UserError

class Refused:
    def __init__(self, **settings):
        raise ValueError(f"asked for {settings['tensor_parallel_size']} GPUs")

vllm.LLM = Refused
frozen = load_model(sys.argv[1])
slot = Slot.place(frozen.tokenizer, Layout(), "Once upon a time")
vectors = PromptEmbedding.from_text(frozen, slot).vectors
two = Decoding(max_new_tokens=4, engine="vllm", tensor_parallel=2)
try:
    decode(frozen, slot, vectors, [Item("0", "A dog", "", "")], two)
except UserError as error:
    print(error)
"""

SERVE_MERGED = """
import json, sys
from vllm import LLM, SamplingParams

folder, texts, stops = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
llm = LLM(folder, dtype="float32", max_model_len=400, enforce_eager=True)
rows = llm.generate(texts, SamplingParams(temperature=0, max_tokens=64, stop_token_ids=stops, ignore_eos=True))
print(json.dumps([list(row.outputs[0].token_ids) for row in rows]))
"""
SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "HF_HUB_OFFLINE": "1",
}


@pytest.fixture(scope="module")
def vllm():
    found = subprocess.run([sys.executable, "-c", "import vllm"], capture_output=True, check=False).returncode == 0
    if not found:
        pytest.skip("vLLM is not installed (docs/performance.md says how)")


@pytest.fixture(scope="module")
def stories(mirror):
    return load_model(str(mirror / "models" / "stories3M"), device="cpu", dtype="float32", log=lambda line: None)


def last_line(code, *arguments, cwd=None):
    """What a process of its own prints last."""
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd=cwd,
        env=os.environ | SETTINGS,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout.splitlines()[-1]


def test_tensor_parallelism_reaches_vllm(vllm, mirror):
    assert "asked for 2 GPUs" in last_line(PARTS, str(mirror / "models" / "stories3M"))


def test_tokens_and_entropies_equal_the_native_engine(vllm, mirror):
    assert last_line(SCRIPT, str(mirror / "models" / "stories3M")) == "same"


def test_the_merged_checkpoint_is_served_from_plain_text(vllm, stories, tmp_path):
    prompt = moved(stories, Layout())
    export("merged", stories, prompt, tmp_path / "merged")
    text = (tmp_path / "merged" / "prompt.txt").read_text()
    inputs = ["She liked to play", "One day", "The dog and the cat were"]
    bodies = [prompt.slot.body_ids(one) for one in inputs]
    wanted = [row.ids for row in greedy(stories, prompt.slot, prompt.vectors, bodies, 64, stories.stop_ids())]
    texts = json.dumps([f"{text} {one}" for one in inputs])
    stops = json.dumps(list(stories.stop_ids()))
    assert json.loads(last_line(SERVE_MERGED, str(tmp_path / "merged"), texts, stops)) == wanted
    assert max(map(len, wanted)) == 64


def test_the_card_of_the_vllm_export_answers_as_ours(vllm, stories, tmp_path):
    prompt = moved(stories, Layout())
    export("vllm", stories, prompt, tmp_path / "vllm")
    code = (tmp_path / "vllm" / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    code = code.replace('"your input"', '"One day"').replace("print(llm", "text = (llm") + "\nprint(repr(text))\n"
    body = prompt.slot.body_ids("One day")
    (row,) = greedy(stories, prompt.slot, prompt.vectors, [body], 64, stories.stop_ids())
    assert len(row.ids) == 64
    assert last_line(code, cwd=tmp_path) == repr(stories.tokenizer.decode(row.ids, skip_special_tokens=True))
