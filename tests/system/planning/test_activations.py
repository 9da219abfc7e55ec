"""The forecast of memory against what PyTorch keeps, in a model large enough for the parts that a plan leaves out to be small."""

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from embedgrad_core import FrozenModel, Layout, Slot
from embedgrad_core.model.costs import Shape
from embedgrad_core.model.kernels import freeze_linears
from embedgrad_core.objective import Example
from embedgrad_core.training.step import MicroBatching, accumulate
from embedgrad_core.training.trainable import prompt_vectors


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_activations_are_what_the_backward_pass_keeps(tokenizer, dtype):
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    network = Qwen2ForCausalLM(config).to(dtype).eval().requires_grad_(False)
    freeze_linears(network)
    frozen = FrozenModel(network, tokenizer, "here", "main", "")
    slot = Slot.place(tokenizer, Layout(), "please reason step by step")
    vectors = frozen.embed(torch.tensor(slot.prompt_ids)).float().requires_grad_()
    examples = [Example(str(i), [1 + j % 20 for j in range(120)], [3, 4]) for i in range(4)]
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        accumulate(prompt_vectors(frozen, slot, vectors), examples, MicroBatching(4096))
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    counted = sum(t.untyped_storage().nbytes() for place, t in kept.items() if place not in weights)
    tokens = len(slot.head_ids) + slot.k + sum(example.length for example in examples)
    assert Shape.of(config).activation_bytes(tokens, dtype.itemsize) == pytest.approx(counted, rel=0.1)
