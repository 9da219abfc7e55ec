"""Rivals in the common loop: the null control, what is learnt, resuming, the file."""

import pytest
import torch
from rival_samples import ITEMS, ON_TINY, TEXT, fitted
from tiny import tiny_model

from embedgrad.rivals.artefact import Artefact
from embedgrad.rivals.families import weights
from embedgrad.rivals.fitting import Fitting, answer, fit_rival, serve
from embedgrad.rivals.table import rival_named
from embedgrad_core import Decoding, Layout, PromptEmbedding, Settings, Slot, optimize
from embedgrad_core.files import Item, UserError
from embedgrad_core.objective import encode, target_loss


@pytest.mark.parametrize(
    "more",
    [{}, {"optimizer": "sgd"}, {"optimizer": "adamw", "weight_decay": 0.1, "loss_reduction": "token_mean"}],
    ids=str,
)
def test_prompt_tuning_from_the_text_is_embedgrad(tokenizer, more):
    frozen = tiny_model(tokenizer)
    settings = Settings(0.01, 6, batch_size=2, patience=0, seed=1, **more)
    fitting = Fitting(Layout(), TEXT, ITEMS, ITEMS, settings, log=lambda line: None)
    artefact, history = fit_rival(frozen, rival_named("prompt_tuning_text"), fitting)
    prompt = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(), TEXT))
    trained, lines = optimize(frozen, prompt, ITEMS, ITEMS, settings)
    assert torch.equal(artefact.tensors["vectors"], trained.vectors)
    assert [line["dev_loss"] for line in history] == [line["dev_loss"] for line in lines]


@pytest.mark.parametrize("name", ON_TINY)
def test_a_rival_learns_and_its_file_brings_the_same_loss(tokenizer, name, tmp_path):
    # In a random model of 30 dimensions all weights or all keys move little; the rest learns at the largest rate of its grid.
    frozen, artefact, history = fitted(tokenizer, name, {"prefix_text": 0.1, "fine_tuning": 1e-2}.get(name))
    losses = [line["dev_loss"] for line in history]
    best = artefact.header["best_epoch"]
    assert losses[best] < 0.9 * losses[0], losses
    artefact.save(tmp_path / "rival.safetensors", frozen)
    other = tiny_model(tokenizer)
    read = Artefact.load(tmp_path / "rival.safetensors", other)
    served = serve(other, read)
    with torch.no_grad():
        examples = encode(served.slot, ITEMS, other.context)
        loss, _ = target_loss(other, served.slot, served.vectors, examples, served.past)
    assert loss.item() / len(ITEMS) == pytest.approx(losses[best], rel=1e-5)
    assert not any(parameter.requires_grad for parameter in other.network.parameters())


def test_adalora_prunes_to_its_rank_and_only_pruned_epochs_win(tokenizer):
    _, artefact, history = fitted(tokenizer, "adalora")
    kept = sum(int((tensor != 0).sum()) for name, tensor in artefact.tensors.items() if "lora_E" in name)
    matrices = sum("lora_E" in name for name in artefact.tensors)
    assert kept == artefact.rival.settings["rank"] * matrices
    assert [line.get("may_win", True) for line in history] == [True, False, False, False, True, True, True]
    assert artefact.header["best_epoch"] >= 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "lorra"}, "rival 'lorra' is not known; there are prompt_tuning_text"),
        ({"changes": {"ranks": 3}}, "rival lora: no setting 'ranks'; it has alpha, method, rank, targets"),
        ({"changes": {"rank": "3"}}, "setting rank is '3'; it must be a int"),
        ({"items": []}, "needs at least one training"),
    ],
    ids=str,
)
def test_a_bad_request_is_one_error(tokenizer, change, told):
    with pytest.raises(UserError, match=told):
        fit_rival(
            tiny_model(tokenizer),
            rival_named(change.get("name", "lora")),
            Fitting(Layout(), TEXT, change.get("items", ITEMS), ITEMS, Settings(0.01, 1)),
            change.get("changes"),
        )


def test_all_weights_are_not_trained_where_memory_would_run_out(tokenizer, monkeypatch):
    """Before the first step: five times the weights, and three times the largest matrix."""
    frozen = tiny_model(tokenizer)
    sizes = [leaf.numel() for leaf in frozen.network.parameters()]
    needs = 4 * (5 * sum(sizes) + 3 * max(sizes))
    fitting = Fitting(Layout(), TEXT, ITEMS, ITEMS, Settings(1e-3, 1, batch_size=2), log=lambda line: None)
    monkeypatch.setattr(weights, "free_memory", lambda device: needs - 1)
    with pytest.raises(
        UserError, match=r"rival fine_tuning: training all 0 million weights of tiny-qwen2 takes .* are free; take a"
    ):
        fit_rival(frozen, rival_named("fine_tuning"), fitting)
    assert not any(parameter.requires_grad for parameter in frozen.network.parameters())
    monkeypatch.setattr(weights, "free_memory", lambda device: needs)
    assert fit_rival(frozen, rival_named("fine_tuning"), fitting)[1]


def test_labels_are_for_classification(tokenizer):
    many = [Item(f"i/{n}", f"{n}", f"{n}", f"{n}") for n in range(40)]
    fitting = Fitting(Layout(), TEXT, many, many, Settings(0.01, 1))
    with pytest.raises(UserError, match=r"40 different answers .* the method is for classification"):
        fit_rival(tiny_model(tokenizer), rival_named("prompt_tuning_labels"), fitting)


@pytest.mark.parametrize("name", ["autoprompt", "few_shot_4", "self_refine_1", "lora", "prefix_text", "p_tuning_mlp"])
def test_a_read_file_answers_as_the_fitted_rival(tokenizer, name, tmp_path):
    frozen, artefact, _ = fitted(tokenizer, name, 0.01, epochs=2)
    artefact.save(tmp_path / "rival.safetensors", frozen)
    decoding = Decoding(max_new_tokens=5, batch_size=3)
    own = tiny_model(tokenizer)
    first = answer(own, artefact, ITEMS, decoding, log=lambda line: None)
    other = tiny_model(tokenizer)
    again = answer(other, Artefact.load(tmp_path / "rival.safetensors", other), ITEMS, decoding, log=lambda line: None)
    assert again == first
    assert [row.id for row in first.rows] == [item.id for item in ITEMS]


def test_a_file_of_another_model_or_a_changed_one_is_one_error(tokenizer, tmp_path):
    path = tmp_path / "rival.safetensors"
    frozen, artefact, _ = fitted(tokenizer, "lora", epochs=1)
    artefact.save(path, frozen)
    other = tiny_model(tokenizer)  # with the same embeddings, and one other weight
    other.network.model.layers[0].mlp.down_proj.weight.data.neg_()
    with pytest.raises(
        UserError, match=r"this rival was fitted to .*, not to .*: the two compute different hidden states"
    ):
        Artefact.load(path, other)
    whole = path.read_bytes()
    for spoilt in (whole[:-8], whole[:-1] + bytes([whole[-1] ^ 1]), whole.replace(b"lora", b"loar", 1), b"", b"{}"):
        path.write_bytes(spoilt)
        with pytest.raises(
            UserError, match=r"rival\.safetensors: (not a fitted rival|a fitted rival that was changed)"
        ):
            Artefact.load(path, tiny_model(tokenizer))
    with pytest.raises(UserError, match="no such file"):
        Artefact.load(tmp_path / "none", frozen)
