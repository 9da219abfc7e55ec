"""A prompt carried to a model whose table is a planted image of the source's: the same displacement, and the same loss."""

from dataclasses import replace

import pytest
import torch
from tiny import tiny_model

from embedgrad.carry.maps import Table
from embedgrad.carry.transfer import carry, train_on
from embedgrad_core import Layout, PromptEmbedding, Settings, Slot
from embedgrad_core.files import UserError
from embedgrad_core.objective import encode, target_loss
from embedgrad_core.prompt import read_prompt_file

TEXT = "Determine whether the statement is positive or negative."


def optimised(frozen, kind="chat", text=TEXT):
    """A prompt that was moved, by a seed in place of an optimisation."""
    prompt = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(kind), text))
    noise = torch.randn(prompt.initial.shape, generator=torch.Generator().manual_seed(3))
    return replace(prompt, vectors=prompt.initial + 0.1 * noise)


def turned(frozen, rotation):
    """The same model in turned coordinates: with norms of weight one, its logits are the same for turned embeddings."""
    other = tiny_model(frozen.tokenizer, "llama")
    with torch.no_grad():
        state = {name: value.clone() for name, value in frozen.network.state_dict().items()}
        for name, value in state.items():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                state[name] = rotation.T @ value
            elif value.dim() == 2:
                state[name] = value @ rotation
        other.network.load_state_dict(state)
    return replace(other, name="turned")


def loss(frozen, prompt, items):
    with torch.no_grad():
        examples = encode(prompt.slot, items, frozen.context)
        return target_loss(frozen, prompt.slot, prompt.vectors, examples)[0].item()


@pytest.fixture(scope="module")
def pair(tokenizer):
    frozen = tiny_model(tokenizer, "llama")
    rotation = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(5), dtype=torch.float64))[0]
    return frozen, turned(frozen, rotation.float()), rotation


def quiet(line):
    pass


def test_a_turned_model_takes_the_exact_displacement_and_has_the_same_loss(pair, items):
    frozen, other, rotation = pair
    prompt = optimised(frozen)
    found = carry(Table.of(frozen), prompt, other, items=items, log=quiet)
    expected = (prompt.vectors - prompt.initial).double() @ rotation
    assert ((found.prompt.vectors - found.prompt.initial).double() - expected).abs().max() < 1e-5
    assert torch.equal(found.weights, torch.eye(prompt.slot.k, dtype=torch.float64))
    assert loss(other, found.prompt, items) == pytest.approx(loss(frozen, prompt, items), rel=1e-4)
    text = replace(prompt, vectors=prompt.initial)
    assert loss(frozen, prompt, items) != pytest.approx(loss(frozen, text, items), rel=1e-2), "the move is no small one"
    relative = carry(Table.of(frozen), prompt, other, items=items, length="relative", log=quiet)
    assert torch.allclose(relative.prompt.drift, prompt.drift, atol=1e-5)


def test_the_carried_prompt_is_an_ordinary_file_with_its_provenance(pair, items, tmp_path):
    frozen, other, _ = pair
    prompt = optimised(frozen)
    prompt.header["grading"] = {"evaluator": "exact", "options": {}, "strict": False}
    found = carry(Table.of(frozen), prompt, other, log=quiet)
    found.prompt.save(tmp_path / "q.safetensors")
    again = PromptEmbedding.load(tmp_path / "q.safetensors", other)
    assert torch.equal(again.vectors, found.prompt.vectors)
    header = read_prompt_file(tmp_path / "q.safetensors")[1]
    assert header["model"]["name"] == "turned"
    assert header["grading"]["evaluator"] == "exact"
    assert header["gate"]["loss_difference"] < 1e-3
    origin = header["carried_from"]
    assert (origin["prompt"], origin["model"]) == (prompt.content_sha256(), "tiny-llama")
    assert (origin["map"], origin["shared_tokens"], origin["steps"]) == ("procrustes", len(Table.of(frozen).ids), 0)
    with pytest.raises(UserError, match="was made for turned, not for tiny-llama"):
        PromptEmbedding.load(tmp_path / "q.safetensors", frozen)


def test_another_tokenizer_is_aligned_by_characters(pair, items):
    """The target cuts every word into letters: each letter is moved as its word was."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    frozen, _, _ = pair
    vocabulary = frozen.tokenizer.get_vocab()
    letters = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    letters.pre_tokenizer, letters.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    cut = PreTrainedTokenizerFast(tokenizer_object=letters, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    other = replace(tiny_model(frozen.tokenizer, "llama"), tokenizer=cut, name="letters")
    prompt = optimised(frozen, "bare")
    found = carry(Table.of(frozen), prompt, other, log=quiet)
    assert found.prompt.slot.k == len(TEXT) > prompt.slot.k
    moves, mine = found.prompt.vectors - found.prompt.initial, prompt.vectors - prompt.initial
    for place, (start, end) in enumerate(prompt.slot.prompt_spans()):
        assert torch.allclose(moves[start:end], mine[place].expand(end - start, -1), atol=1e-5)


def test_steps_lower_the_loss_and_are_counted(pair, items):
    frozen, other, _ = pair
    carried = carry(Table.of(frozen), optimised(frozen), other, items=items, log=quiet).prompt
    trained, history = train_on(other, carried, items, items, 11, Settings(0.01, batch_size=2), log=quiet)
    assert loss(other, trained, items) < loss(other, carried, items)
    assert trained.header["carried_from"]["steps"] == 11
    assert [line["epoch"] for line in history] == [0, 1]
    assert len(trained.header["seen"]) == len(items)
    back, _ = train_on(other, carried, items, items, 2, Settings(1e6, batch_size=2), log=quiet)
    assert torch.equal(back.vectors, carried.vectors), "steps that make dev worse are not kept"
    assert back.header["carried_from"]["steps"] == 0


def test_a_step_is_adams_own(pair, items):
    """One step of the whole batch, by the oracle."""
    from reference import item_loss

    frozen, _, _ = pair
    prompt = optimised(frozen)
    trained, _ = train_on(frozen, prompt, items, items, 1, Settings(0.01, batch_size=len(items)), log=quiet)
    vectors = prompt.vectors.clone().requires_grad_()
    adam = torch.optim.Adam([vectors], lr=0.01)
    examples = encode(prompt.slot, items, frozen.context)
    (
        sum(item_loss(frozen.network, vectors, prompt.slot.head_ids, one.body, one.target) for one in examples)
        / len(items)
    ).backward()
    adam.step()
    assert torch.allclose(trained.vectors, vectors.detach(), atol=2e-5)


def test_a_layout_that_the_target_lacks_is_one_clear_error(pair, tokenizer):
    frozen, other, _ = pair
    from tiny import tiny_tokenizer

    bare = tiny_tokenizer()
    bare.chat_template = None
    with pytest.raises(UserError, match=r"layout chat, which turned cannot take: .*no chat template; use layout bare"):
        carry(Table.of(frozen), optimised(frozen), replace(other, tokenizer=bare), log=quiet)
    with pytest.raises(UserError, match="length is 'long'"):
        carry(Table.of(frozen), optimised(frozen), other, length="long", log=quiet)
    with pytest.raises(UserError, match="steps is 0"):
        train_on(other, optimised(frozen), [], [], 0, Settings(), log=quiet)
