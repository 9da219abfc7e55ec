"""LAT on a direction that was planted in the embeddings, against plain numpy, and as a command."""

import json
import random

import numpy as np
import pytest
import torch
from places import ROOT
from tiny import tiny_model

from embedgrad.analyses.lat import lat_of_states
from embedgrad.cli import main
from embedgrad_core import Layout, PromptEmbedding, Slot
from embedgrad_core.files import UserError, write_jsonl
from embedgrad_core.lat import Reader, Stimulus, hidden_states, prompt_states, read_stimuli, stimulus_states, wins

STRENGTH = 12.0
PROMPT = "please reason step by step"


@pytest.fixture(scope="module")
def planted(tokenizer):
    """A model in which the digits 5-9 lie further along one direction than 0-4, and that direction."""
    frozen = tiny_model(tokenizer, "llama")
    direction = torch.nn.functional.normalize(torch.randn(32, generator=torch.Generator().manual_seed(7)), dim=0)
    with torch.no_grad():
        for digit in range(10):
            row = tokenizer.convert_tokens_to_ids(str(digit))
            frozen.network.get_input_embeddings().weight[row] += (STRENGTH if digit > 4 else -STRENGTH) * direction
    return frozen, direction.double()


def stimuli(count=40, seed=0):
    chance = random.Random(seed)

    def text(digits):
        return "".join(chance.choices("abcdefgh ", k=chance.randrange(2, 9))) + chance.choice(digits)

    return [Stimulus(text("56789"), text("01234"), "train" if n % 2 else "held_out") for n in range(count)]


def states(frozen):
    return [
        stimulus_states(frozen, [one for one in stimuli() if one.split == split]) for split in ("train", "held_out")
    ]


def moved(frozen, shift):
    prompt = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(), PROMPT))
    prompt.vectors += shift.float()
    return prompt


def test_the_planted_direction_is_found(planted):
    frozen, direction = planted
    train, held_out = states(frozen)
    reader = Reader.fit(train)
    assert torch.allclose(reader.vectors.norm(dim=1), torch.ones(3, dtype=torch.float64))
    cosine = reader.vectors @ direction
    assert cosine[0] > 0.9  # the sign too: the labels fix it
    assert cosine[1] > 0.9
    accuracy = wins(held_out, reader.vectors[:, None]).mean(dim=1)[:, 0]
    assert (accuracy[:2] > 0.95).all()
    turned = Reader.fit(train.flip(2))
    torch.testing.assert_close(turned.vectors, -reader.vectors)


def test_the_vectors_are_numpys(planted):
    train, _ = states(planted[0])
    reader = Reader.fit(train)
    for layer, of_layer in enumerate(train.double().numpy()):
        difference = of_layer[:, 0] - of_layer[:, 1]
        both = np.concatenate([difference, -difference])
        np.testing.assert_allclose(both.mean(axis=0), 0, atol=1e-12)
        values, vectors = np.linalg.eigh(both.T @ both)
        expected = vectors[:, -1] * np.sign(difference.mean(axis=0) @ vectors[:, -1])
        np.testing.assert_allclose(reader.vectors[layer].numpy(), expected, atol=1e-6)
        assert float(reader.explained[layer]) == pytest.approx(values[-1] / values.sum(), abs=1e-6)
        projected = of_layer.reshape(-1, 32) @ expected
        assert float(reader.scale[layer]) == pytest.approx(projected.std(ddof=1), rel=1e-6)
        found = reader.project(torch.from_numpy(np.stack([of_layer[3, 1]] * 3)))[layer]
        wanted = (of_layer[3, 1] - of_layer.reshape(-1, 32).mean(axis=0)) @ expected / projected.std(ddof=1)
        assert float(found) == pytest.approx(wanted, abs=1e-6)


def test_the_report_with_its_controls(planted):
    frozen, direction = planted
    train, held_out = states(frozen)
    prompt = moved(frozen, 0.5 * direction + 0.5 * torch.randn(32, generator=torch.Generator().manual_seed(1)))
    before, after = (prompt_states(frozen, prompt, vectors) for vectors in (prompt.initial, prompt.vectors))
    report = lat_of_states(train, held_out, before, after, random_directions=2000)
    first = report["layers"][0]
    accuracy = first["accuracy"]
    assert accuracy["held_out"] > 0.95
    assert accuracy["band"][0] <= accuracy["held_out"] <= accuracy["band"][1]
    assert accuracy["random"]["unsigned_mean"] == pytest.approx(0.5, abs=0.05)
    assert accuracy["random"]["mean"] < accuracy["held_out"]
    reader = Reader.fit(train)
    shift = float((prompt.vectors - prompt.initial).double().mean(dim=0) @ reader.vectors[0] / reader.scale[0])
    for name in ("prompt_last", "prompt_mean"):
        found = first["readings"][name]
        assert found["delta"] == pytest.approx(shift, rel=1e-4)
        assert found["band"][0] <= found["delta"] <= found["band"][1]
        assert found["delta"] == pytest.approx(found["after"] - found["before"])
    assert report == lat_of_states(train, held_out, before, after, random_directions=2000)
    assert report != lat_of_states(train, held_out, before, after, random_directions=2000, seed=1)


def test_texts_without_a_difference_are_told_apart_by_nothing(tokenizer):
    frozen = tiny_model(tokenizer)
    same = stimulus_states(frozen, [Stimulus("a.", "b.", "train"), Stimulus("c.", "de.", "train")])
    prompt = moved(frozen, torch.zeros(32))
    at = prompt_states(frozen, prompt, prompt.vectors)
    row = lat_of_states(same, same, at, at)["layers"][0]  # every text ends in the same token
    assert row["accuracy"]["held_out"] == 0.5
    assert row["readings"]["prompt_mean"]["delta"] == 0


def test_chance_is_chance(tokenizer):
    """Pairs that differ by nothing but noise: neither the direction nor the control beats a coin."""
    generator = torch.Generator().manual_seed(0)
    train, held_out = (torch.randn(1, 200, 2, 32, generator=generator) for _ in range(2))
    at = {"prompt_mean": torch.zeros(1, 1, 32)}
    accuracy = lat_of_states(train, held_out, at, at, draws=20)["layers"][0]["accuracy"]
    assert accuracy["held_out"] == pytest.approx(0.5, abs=0.12)
    assert accuracy["random"]["mean"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("kind", ["bare", "chat"])
def test_the_embeddings_path_is_the_ids_path(frozen, items, kind):
    slot = Slot.place(frozen.tokenizer, Layout(kind=kind), PROMPT)
    prompt = PromptEmbedding.from_text(frozen, slot)
    item = items[2]
    by_ids = hidden_states(frozen, ids=[*slot.head_ids, *slot.prompt_ids, *slot.body_ids(item.input)])
    by_embeds = prompt_states(frozen, prompt, prompt.initial, [item])
    at_prompt = by_ids[:, len(slot.head_ids) : len(slot.head_ids) + slot.k]
    same = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(by_embeds["prompt_mean"][:, 0], at_prompt.mean(dim=1), **same)
    torch.testing.assert_close(by_embeds["prompt_last"][:, 0], at_prompt[:, -1], **same)
    torch.testing.assert_close(by_embeds["input_last"][:, 0], by_ids[:, -1], **same)
    assert len(by_ids) == frozen.network.config.num_hidden_layers + 1


@pytest.fixture
def saved(tokenizer, items, tmp_path):
    frozen = tiny_model(tokenizer)
    frozen.network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    moved(frozen, torch.full((32,), 0.02)).save(tmp_path / "p.safetensors")
    write_jsonl(tmp_path / "dev.jsonl", [item.row() for item in items])
    write_jsonl(tmp_path / "stimuli.jsonl", [vars(one) for one in stimuli(12)])
    return tmp_path


def lat(folder, *more):
    words = ["lat", "--model", folder / "model", "--prompt-file", folder / "p.safetensors", "--device", "cpu"]
    words += ["--stimuli", folder / "stimuli.jsonl", "--pairs", 8, "--draws", 20, "--out", folder / "lat.json", *more]
    return main([*map(str, words)])


def test_the_command(saved):
    assert lat(saved, "--data", saved / "dev.jsonl", "--items", 3) == 0
    first = (saved / "lat.json").read_bytes()
    told = json.loads(first)
    assert told["items"] == 3
    assert told["readers"]["template"]["pairs"] == {"train": 6, "held_out": 2}
    assert told["readers"]["responses"]["pairs"] == {"train": 6, "held_out": 6}
    for reader in told["readers"].values():
        assert [row["layer"] for row in reader["layers"]] == [0, 1, 2]
        # Only prompt rows changed: at the input's last token the embedding output is the same before and after.
        assert reader["layers"][0]["readings"]["input_last"]["delta"] == 0
        assert [len(row["readings"]["input_last"]["displaced"]) for row in reader["layers"]] == [3, 3, 3]
    first_layers = {name: reader["layers"][0] for name, reader in told["readers"].items()}
    assert first_layers["responses"]["readings"]["prompt_mean"]["delta"] != 0
    # Every text in the template ends in the same token, whose embedding says nothing.
    assert first_layers["template"]["accuracy"]["held_out"] == 0.5
    assert lat(saved, "--data", saved / "dev.jsonl", "--items", 3) == 0
    assert (saved / "lat.json").read_bytes() == first


def test_a_stimulus_longer_than_the_context_is_one_error(saved, capsys):
    rows = [vars(one) for one in stimuli(12)]
    write_jsonl(saved / "stimuli.jsonl", [*rows, {"positive": "7 " * 300, "negative": "0", "split": "train"}])
    assert lat(saved) == 2
    told = capsys.readouterr().err.strip()
    assert len(told.splitlines()) == 1
    assert "'7 7 7" in told
    assert "the model takes 1 to 256" in told
    assert not (saved / "lat.json").exists()


def test_a_count_below_one_is_one_error(saved, capsys):
    assert lat(saved, "--random-directions", 0) == 2
    assert "--random-directions: give a whole number from 1 to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"positive": "a", "negative": "b", "split": "dev"}, r":1: 'split' is 'dev'"),
        ({"positive": "", "negative": "b", "split": "train"}, r":1: 'positive' must be text"),
        ({"positive": "a", "negative": "b", "split": "train"}, "1 pairs of split train; give at least 2"),
        ({"positive": "a"}, "'negative' is missing"),
    ],
)
def test_bad_stimuli_are_named(tmp_path, row, message):
    write_jsonl(tmp_path / "stimuli.jsonl", [row])
    with pytest.raises(UserError, match=message):
        read_stimuli(tmp_path / "stimuli.jsonl")


def test_our_own_stimuli_are_sound():
    pairs = read_stimuli(ROOT / "config/lat_stimuli.jsonl")
    assert len(pairs) == 40
    assert sum(one.split == "held_out" for one in pairs) == 12
    texts = [text for one in pairs for text in (one.positive, one.negative)]
    assert len(set(texts)) == 80
    assert all(text[-1].isalpha() for text in texts)
