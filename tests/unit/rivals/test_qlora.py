"""QLoRA: LoRA on weights in 4 bits, through the core's own loss and decoder."""

import pytest
import torch
from tiny import REVIEWS, tiny_model

from embedgrad.rivals.artefact import Artefact
from embedgrad.rivals.fitting import Fitting, answer, fit_rival, serve
from embedgrad.rivals.table import rival_named
from embedgrad_core import Decoding, Layout, Settings, load_model
from embedgrad_core.files import Item, UserError
from embedgrad_core.objective import encode, target_loss

ITEMS = [Item(f"r/{n}", text, label, label) for n, (text, label) in enumerate(REVIEWS)]
FITTING = Fitting(
    Layout(), "positive or negative?", ITEMS, ITEMS, Settings(3e-3, 4, batch_size=2, patience=0), log=lambda line: None
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed (make rivals)")
    folder = tmp_path_factory.mktemp("qlora")
    tiny_model(tokenizer, "llama").network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def in_4_bits(folder):
    return load_model(str(folder), device="cpu", quantisation="nf4", log=lambda line: None)


def test_it_learns_and_answers_the_same_in_another_load(folder, tmp_path):
    frozen = in_4_bits(folder)
    kinds = {type(module).__name__ for module in frozen.network.modules()}
    assert "Linear4bit" in kinds
    artefact, history = fit_rival(frozen, rival_named("qlora"), FITTING)
    losses = [line["dev_loss"] for line in history]
    assert min(losses) < 0.97 * losses[0]
    artefact.save(tmp_path / "q.st", frozen)
    other = in_4_bits(folder)
    read = Artefact.load(tmp_path / "q.st", other)
    served = serve(other, read)
    with torch.no_grad():
        loss, _ = target_loss(other, served.slot, served.vectors, encode(served.slot, ITEMS, other.context))
    # Kernels that depend on shapes: a batch of dev in training has another cut.
    assert loss.item() / len(ITEMS) == pytest.approx(min(losses), rel=1e-3)
    third = in_4_bits(folder)
    found = answer(
        third, Artefact.load(tmp_path / "q.st", third), ITEMS, Decoding(max_new_tokens=4), log=lambda line: None
    )
    assert len(found.rows) == len(ITEMS)


def test_it_starts_as_the_text_prompt_of_the_quantised_model(folder):
    from embedgrad.analyses.baselines.text_answers import text_vectors
    from embedgrad.rivals.families import weights

    frozen = in_4_bits(folder)
    slot, vectors = text_vectors(frozen, Layout(), FITTING.text)
    examples = encode(slot, ITEMS, frozen.context)
    with torch.no_grad():
        plain, _ = target_loss(frozen, slot, vectors, examples)
        begun = weights.begin(frozen, slot, rival_named("qlora"), ITEMS, 0, 8)
        loss, _ = begun.trainable.loss(examples)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-6)


def test_another_quantisation_is_one_error(tokenizer, tmp_path):
    tiny_model(tokenizer).network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="quantisation is 'int8'; it must be nf4"):
        load_model(str(tmp_path), device="cpu", quantisation="int8", log=lambda line: None)
