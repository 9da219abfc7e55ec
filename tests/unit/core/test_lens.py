"""The logit lens against the model's own logits, and the tokens nearest to vectors against a full table."""

import numpy as np
import pytest
import torch
from families import FAMILIES, model_of, moved
from hypothesis import given
from hypothesis import strategies as st

from embedgrad_core import Layout
from embedgrad_core.anchoring import closest_tokens, nearest_tokens
from embedgrad_core.files import UserError
from embedgrad_core.lat import hidden_states
from embedgrad_core.lens import depth, lens_logits, seen_from, some_layers


@pytest.mark.parametrize("family", ["llama", *FAMILIES])
def test_the_last_layers_lens_is_the_models_own_prediction(family, tokenizer):
    """By the states that have the norm already, and by the raw output of the last block, which a hook catches."""
    caps = {"final_logit_softcapping": 0.5} if family == "gemma2" else {}
    frozen = model_of(family, tokenizer, **{**FAMILIES.get(family, {}), **caps})
    prompt = moved(frozen, Layout("chat"))
    head = frozen.embed(torch.tensor(prompt.slot.head_ids))
    embeds = torch.cat([head, prompt.vectors])
    raw = []
    blocks = next(part for part in frozen.network.base_model.children() if isinstance(part, torch.nn.ModuleList))
    caught = blocks[-1].register_forward_hook(
        lambda module, given, output: raw.append(output[0] if isinstance(output, tuple) else output)
    )
    with torch.no_grad():
        own = frozen.network(inputs_embeds=embeds[None]).logits[0, len(head) :].float()
    caught.remove()
    states = hidden_states(frozen, embeds=embeds)[:, len(head) :]
    assert len(states) == depth(frozen) + 1
    torch.testing.assert_close(lens_logits(frozen, states[-1], last=True), own, rtol=1e-4, atol=1e-4)
    before_norm = raw[0].reshape(-1, raw[0].shape[-1])[len(head) :]
    torch.testing.assert_close(lens_logits(frozen, before_norm, last=False), own, rtol=1e-4, atol=1e-4)
    seen = seen_from(frozen, prompt, prompt.vectors, [1, depth(frozen)])
    assert torch.equal(seen.token[-1], own.argmax(dim=1))
    torch.testing.assert_close(seen.p[-1], own.softmax(dim=1).max(dim=1).values, rtol=1e-4, atol=1e-5)
    early = lens_logits(frozen, states[1], last=False)
    assert torch.equal(seen.token[0], early.argmax(dim=1))
    assert not torch.equal(seen.p[0], seen.p[1])


def test_a_norm_that_is_not_found_is_one_error(frozen, monkeypatch):
    monkeypatch.setattr("embedgrad_core.lens._NORMS", ("elsewhere",))
    with pytest.raises(UserError, match="no final norm was found"):
        lens_logits(frozen, torch.zeros(1, frozen.width), last=False)


@given(st.integers(1, 200), st.integers(1, 40))
def test_some_layers(blocks, most):
    found = some_layers(blocks, most)
    assert found == sorted(set(found))
    assert found[-1] == blocks
    assert len(found) == min(blocks, most)
    assert most == 1 or blocks == 1 or found[0] == 1


def test_closest_tokens(frozen, monkeypatch):
    """In chunks smaller than the answer, against numpy over the whole table."""
    monkeypatch.setattr("embedgrad_core.anchoring.VOCABULARY_CHUNK", 3)
    prompt = moved(frozen, Layout())
    table = frozen.embed(torch.arange(frozen.network.get_input_embeddings().num_embeddings)).double().numpy()
    vectors = prompt.vectors.double().numpy()
    cosines = vectors @ table.T / np.linalg.norm(vectors, axis=1)[:, None] / np.linalg.norm(table, axis=1)
    found, ids = closest_tokens(frozen, prompt.vectors, 5)
    np.testing.assert_allclose(found.numpy(), -np.sort(-cosines, axis=1)[:, :5], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(cosines, ids.numpy(), axis=1), found.numpy(), atol=1e-5)
    assert torch.equal(ids[:, 0], nearest_tokens(frozen, prompt.vectors))
