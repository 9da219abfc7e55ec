"""Section 5.1 against plain float64 numpy, and the command's round trip."""

import json

import numpy as np
import pytest
import torch
from tiny import tiny_model

from embedgrad.cli import main
from embedgrad_core import Layout, PromptEmbedding, Slot
from embedgrad_core.anchoring import randomly_displaced, semantic_anchoring, similarities, snapped
from embedgrad_core.files import write_jsonl

PROMPT = "please reason step by step"


def moved(frozen, size=0.1):
    prompt = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(), PROMPT))
    prompt.vectors += size * torch.randn(prompt.vectors.shape, generator=torch.Generator().manual_seed(3))
    return prompt


def reference(table, vectors, original):
    """Eq. 10 read three ways, a full (k, V) table each."""
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    raw = np.exp(vectors) @ table.T
    logits = vectors @ table.T
    soft = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = {
        "printed": raw / raw.sum(axis=1, keepdims=True),
        "softmax": soft / soft.sum(axis=1, keepdims=True),
        "cosine": vectors @ unit.T / np.linalg.norm(vectors, axis=1, keepdims=True),
    }
    places = np.arange(len(vectors))
    return {
        name: (
            found[places, original],
            1 + (found > found[places, original][:, None]).sum(axis=1),
            found.argmax(axis=1),
        )
        for name, found in p.items()
    }


@pytest.mark.parametrize("chunk", [7, 10_000])
@pytest.mark.parametrize("size", [0.0, 0.1, 2.0])
def test_each_measure_is_numpys(frozen, monkeypatch, chunk, size):
    monkeypatch.setattr("embedgrad_core.anchoring.VOCABULARY_CHUNK", chunk)
    prompt = moved(frozen, size)
    original = torch.tensor(prompt.slot.prompt_ids)
    table = frozen.network.get_input_embeddings().weight.double().numpy()
    expected = reference(table, prompt.vectors.double().numpy(), original.numpy())
    for name, measured in similarities(frozen, prompt.vectors, original).items():
        p, rank, nearest = expected[name]
        np.testing.assert_allclose(measured.p.numpy(), p, rtol=1e-6, atol=1e-12)
        assert measured.rank.tolist() == rank.tolist(), name
        assert measured.nearest.tolist() == nearest.tolist(), name


def test_a_negative_sum_turns_the_printed_order_round(frozen):
    prompt = moved(frozen)
    table = frozen.network.get_input_embeddings().weight.double().numpy()
    # exp(v) weighs the component whose column sum is most negative: the sum of Eq. 10 is below zero.
    vectors = torch.zeros(1, frozen.width)
    vectors[0, int(table.sum(axis=0).argmin())] = 8.0
    original = torch.tensor(prompt.slot.prompt_ids[:1])
    p, rank, nearest = reference(table, vectors.double().numpy(), original.numpy())["printed"]
    assert (np.exp(vectors.numpy()) @ table.T).sum() < 0
    measured = similarities(frozen, vectors, original)["printed"]
    np.testing.assert_allclose(measured.p.numpy(), p, rtol=1e-6)
    assert (measured.rank.tolist(), measured.nearest.tolist()) == (rank.tolist(), nearest.tolist())


def test_the_control_moves_as_far_and_elsewhere(frozen):
    prompt = moved(frozen)
    control = randomly_displaced(prompt, 0)
    step, other = (prompt.vectors - prompt.initial).double(), (control - prompt.initial).double()
    torch.testing.assert_close(other.norm(dim=1), step.norm(dim=1), rtol=1e-5, atol=0)
    assert torch.nn.functional.cosine_similarity(step, other).abs().max() < 0.9
    assert torch.equal(control, randomly_displaced(prompt, 0))
    assert not torch.equal(control, randomly_displaced(prompt, 1))


def test_snapping_gives_rows_of_the_table(frozen):
    prompt = moved(frozen, 0.0)
    assert torch.equal(snapped(frozen, prompt), prompt.initial)
    prompt.vectors[1] = 3.0 * frozen.embed(torch.tensor(5)).float()
    assert torch.equal(snapped(frozen, prompt)[1], frozen.embed(torch.tensor(5)).float())
    assert torch.equal(snapped(frozen, prompt)[0], prompt.initial[0])


def test_the_report_has_a_row_a_position(frozen):
    prompt = moved(frozen)
    report = semantic_anchoring(frozen, prompt)
    np.testing.assert_allclose(
        [row["drift"] for row in report["positions"]],
        np.linalg.norm(prompt.vectors - prompt.initial, axis=1) / np.linalg.norm(prompt.initial, axis=1),
        rtol=1e-6,
    )
    assert "".join(row["token"] for row in report["positions"]) == PROMPT
    assert report["summary"]["before"]["cosine"]["nearest_is_original"] == prompt.slot.k
    assert report["summary"]["before"]["cosine"]["min_p"] == pytest.approx(1)
    ranks = [row["after"]["softmax"]["rank"] for row in report["positions"]]
    assert report["summary"]["after"]["softmax"]["nearest_is_original"] == ranks.count(1)


@pytest.fixture
def saved(tokenizer, items, tmp_path):
    frozen = tiny_model(tokenizer)
    frozen.network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    moved(frozen, 0.02).save(tmp_path / "p.safetensors")
    write_jsonl(tmp_path / "dev.jsonl", [item.row() for item in items])
    return tmp_path


def anchoring(folder, *more):
    words = ["anchoring", "--model", folder / "model", "--prompt-file", folder / "p.safetensors", "--device", "cpu"]
    return main([*map(str, words), "--out", str(folder / "anchoring.json"), *map(str, more)])


def test_the_command_grades_the_round_trip(saved, monkeypatch):
    more = ("--data", saved / "dev.jsonl", "--evaluator", "exact", "--max-new-tokens", 4)
    more += ("--controls", 2)
    assert anchoring(saved, *more) == 0
    first = (saved / "anchoring.json").read_bytes()
    trip = json.loads(first)["round_trip"]
    assert trip["n"] == 8
    assert trip["snapped_equals_before"]
    assert len(trip["random_each"]) == 2
    assert trip["accuracy"]["random"] == sum(trip["random_each"]) / 2
    assert trip["accuracy"]["snapped"] == trip["accuracy"]["before"]
    assert set(trip["accuracy"]) == {"before", "after", "snapped", "random"}
    # All vectors at once, as on a GPU: other steps, the same answers.
    monkeypatch.setattr("embedgrad.analyses.round_trip.gains", lambda *_: True)
    assert anchoring(saved, *more) == 0
    assert (saved / "anchoring.json").read_bytes() == first


def test_half_a_round_trip_is_one_error(saved, capsys):
    assert anchoring(saved, "--data", saved / "dev.jsonl") == 2
    assert "give both or neither" in capsys.readouterr().err
    assert not (saved / "anchoring.json").exists()
    assert anchoring(saved) == 0
    assert json.loads((saved / "anchoring.json").read_text())["round_trip"] is None
