"""Memory that was put there on purpose: a real model is trained on texts until it knows them, and the probe finds them."""

import random

import pytest
import torch

from embedgrad.probes.contamination import Controls, contamination
from embedgrad.tasks import mood
from embedgrad_core.model.loading import load_model

STEPS = 40


def silent(line):
    """Progress that nobody reads."""


@pytest.mark.mirror
def test_texts_that_a_model_was_overfitted_to_are_told_apart_from_new_ones(mirror):
    folder = mirror / "models/stories260K"
    if not folder.is_dir():
        pytest.skip("EMBEDGRAD_MIRROR holds no models/stories260K")
    frozen = load_model(str(folder), device="cpu", dtype="float32")
    chance = random.Random(0)
    texts = list(dict.fromkeys(mood.draw(chance)[0] for _ in range(60)))
    seen, new = texts[:20], Controls(texts[20:40], "fresh")
    before = contamination(frozen, seen, new, log=silent)
    low, high = before["auroc"]["min_k"]["interval"]
    assert low < 0.5 < high
    assert before["test"]["exact"] == 0

    network = frozen.network.requires_grad_(True)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    batch = frozen.tokenizer(seen, return_tensors="pt", padding=True, padding_side="right")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    for _ in range(STEPS):
        optimizer.zero_grad()
        network(**batch, labels=labels).loss.backward()
        optimizer.step()
    network.requires_grad_(False)

    after = contamination(frozen, seen, new, log=silent)
    assert after["auroc"]["min_k"]["value"] > 0.9
    assert after["auroc"]["rouge_l"]["value"] > 0.9
    assert after["test"]["exact"] > 10 > after["control"]["exact"]
