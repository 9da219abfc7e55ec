"""How long OpenMP's threads spin: said before torch is loaded, never over the user's head, and without changing a bit."""

import os
import subprocess
import sys

import pytest
from places import ROOT

from embedgrad_core.spinning import OWN, SPINS

# Ends where torch is first looked for, and says what stands in the environment then.
LOOK = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
{load}
"""
# libgomp itself prints what it goes by (OMP_DISPLAY_ENV) when torch loads it.
LOAD = "import embedgrad, torch"
WAYS = {
    "command": "import embedgrad.cli; import embedgrad.commands.decode, embedgrad.api",
    "python": "import embedgrad; embedgrad.load",
    "lm-eval": "import embedgrad_core.lm_eval",
    "rates": "import embedgrad.planning.machines",
    "demo": "import embedgrad.demo_models",
}
# Products of many sizes by two threads, forward and backward, as a step and an answer need them.
COMPUTE = """
import hashlib, sys
sys.path.insert(0, "tests/support")
import tiny, torch
from embedgrad_core import Layout, Slot
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.model.kernels import freeze_linears, packed_weights
from embedgrad_core.objective import Example
from embedgrad_core.training.step import MicroBatching, accumulate
from embedgrad_core.training.trainable import prompt_vectors
torch.set_num_threads(2)
frozen = tiny.tiny_model(tiny.tiny_tokenizer(), hidden_size=512, intermediate_size=1024)
freeze_linears(frozen.network)
slot = Slot(frozen.tokenizer, Layout(), "", (), tuple(range(20, 36)))
vectors = frozen.embed(torch.tensor(slot.prompt_ids)).float().clone().requires_grad_()
examples = [Example(str(n), list(range(1 + n, 40)), list(range(1, 9))) for n in range(4)]
accumulate(prompt_vectors(frozen, slot, vectors), examples, MicroBatching())
with packed_weights(frozen.network) as packed:
    assert packed, "no weight is large enough for oneDNN"
    rows = greedy(frozen, slot, vectors.detach(), [list(range(1, 30))] * 8, 12, [])
told = repr([(row.ids, row.bits) for row in rows]).encode() + vectors.grad.numpy().tobytes()
assert vectors.grad.abs().sum() > 0
print(hashlib.sha256(told).hexdigest())
"""


def run(code, **own):
    environment = {key: value for key, value in os.environ.items() if key not in (*OWN, "OMP_NUM_THREADS")}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)} | own,
        capture_output=True,
        text=True,
        check=True,
    )


def spins_of_the_runtime(stderr):
    """GOMP_SPINCOUNT as libgomp itself printed it (OMP_DISPLAY_ENV); every copy of it that was loaded says the same."""
    told = {line.split("'")[1] for line in stderr.splitlines() if "GOMP_SPINCOUNT" in line}
    if not told:
        pytest.skip("torch computes with another OpenMP runtime than libgomp, which does not look at GOMP_SPINCOUNT")
    assert len(told) == 1
    return int(told.pop())


@pytest.mark.parametrize("way", WAYS)
def test_the_count_is_set_before_torch_is_looked_for(way):
    assert run(LOOK.format(load=WAYS[way])).stdout.split() == [str(SPINS)]


def test_the_runtime_goes_by_it():
    assert spins_of_the_runtime(run(LOAD, OMP_DISPLAY_ENV="VERBOSE").stderr) == SPINS


@pytest.mark.parametrize(
    ("name", "value", "spins"),
    [("OMP_WAIT_POLICY", "PASSIVE", 0), ("GOMP_SPINCOUNT", "777", 777), ("KMP_BLOCKTIME", "5", 300_000)],
)
def test_a_choice_of_the_users_own_wins(name, value, spins):
    assert spins_of_the_runtime(run(LOAD, OMP_DISPLAY_ENV="VERBOSE", **{name: value}).stderr) == spins


def test_processes_that_are_started_inherit_it():
    started = "import subprocess; print(subprocess.check_output(['printenv', 'GOMP_SPINCOUNT'], text=True))"
    assert run(f"import embedgrad; {started}").stdout.split() == [str(SPINS)]


def test_the_same_bits_however_long_threads_spin():
    digests = {run(COMPUTE, **own).stdout for own in ({}, {"OMP_WAIT_POLICY": "PASSIVE"})}
    assert len(digests) == 1
