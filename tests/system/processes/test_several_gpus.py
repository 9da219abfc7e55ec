"""A model whose layers lie on two GPUs gives the numbers of an undivided one, and a GPU is never asked for another's tensors."""

import os
import subprocess
import sys

import pytest
from places import ROOT

# In a process of its own: the fake device type stays registered.
BOTH = """
import copy
import sys
import fake_gpus
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from embedgrad_core import FrozenModel, Layout, PromptEmbedding, Slot, check_step_zero
from embedgrad_core.decoding.greedy import greedy
from embedgrad_core.lat import hidden_states
from embedgrad_core.objective import Example
from embedgrad_core.decoding.scoring import forced_entropies
from embedgrad_core.training.step import MicroBatching, accumulate
from embedgrad_core.training.trainable import prompt_vectors

gate = sys.modules[check_step_zero.__module__]
torch.set_num_threads(1)
torch.manual_seed(0)
config = Qwen2Config(vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
                     num_key_value_heads=2, tie_word_embeddings=sys.argv[1] == "tied")
network = Qwen2ForCausalLM(config).eval().requires_grad_(False)
for weight in network.parameters():
    if weight.dim() > 1:
        weight.data.normal_(0, 0.15)
other = copy.deepcopy(network)
slot = Slot(None, Layout(), "", (), (5, 6, 7))
examples = [Example(str(n), list(range(1, 10 + n)), [3, 4]) for n in range(4)]
bodies = [example.body for example in examples]
start = network.model.embed_tokens.weight[5:8].clone()


def gradient(frozen, vectors, checkpointing):
    vectors = vectors.detach().clone().requires_grad_()
    loss, _ = accumulate(prompt_vectors(frozen, slot, vectors), examples, MicroBatching(40, checkpointing))
    return loss, getattr(vectors.grad, "held", vectors.grad)


one = FrozenModel(network, None, "one", "main", "")
with fake_gpus.fake():
    first, second = (fake_gpus.FakeTensor(torch.ones(2), index) for index in (0, 1))
    try:
        first + second
    except RuntimeError as error:
        assert "tensors on ['fakegpu:0', 'fakegpu:1']" in str(error)
    else:
        raise AssertionError("two GPUs in one operation")
    two = FrozenModel(fake_gpus.divide(other, 1), None, "two", "main", "")
    assert two.is_divided and not one.is_divided
    assert str(two.device) == "fakegpu:0"
    assert str(other.lm_head.weight.device) == ("fakegpu:0" if sys.argv[1] == "tied" else "fakegpu:1")
    vectors = fake_gpus.FakeTensor(start.clone(), 0)
    gate.encode = lambda *_: examples[:1]
    check_step_zero(one, PromptEmbedding(start, start, slot, {}), [])
    check_step_zero(two, PromptEmbedding(vectors, vectors, slot, {}), [])
    for checkpointing in (False, True):
        loss, expected = gradient(one, start, checkpointing)
        divided, found = gradient(two, vectors, checkpointing)
        assert abs(loss - divided) < 1e-4 * loss
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    rows = greedy(one, slot, start, bodies, 12, [9], batch_size=2)
    divided = greedy(two, slot, vectors, bodies, 12, [9], batch_size=2)
    assert [row.ids for row in rows] == [row.ids for row in divided]
    assert all(abs(a - b) < 1e-4 for x, y in zip(rows, divided) for a, b in zip(x.bits, y.bits))
    answers = [row.ids for row in rows]
    scored = forced_entropies(two, slot, vectors, bodies, answers)
    assert all(abs(a - b) < 1e-3 for x, y in zip(rows, scored) for a, b in zip(x.bits, y))
    states = hidden_states(two, ids=[1, 2, 3])
    torch.testing.assert_close(states, hidden_states(one, ids=[1, 2, 3]), rtol=1e-4, atol=1e-5)
print("the same")
"""


@pytest.mark.parametrize("head", ["tied", "untied"])
def test_gradient_answers_and_states_are_those_of_an_undivided_model(head):
    run = subprocess.run(
        [sys.executable, "-c", BOTH, head],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests/support")])},
        timeout=600,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout == "the same\n"
