"""Where lm-eval's commands are typed."""

import json
import sys

import pytest
from places import ROOT
from tiny import tiny_model

from embedgrad_core import Layout, PromptEmbedding, Slot, load_model

PROMPT = "Determine whether the statement is positive or negative."


@pytest.fixture(scope="module")
def home(tokenizer, tmp_path_factory):
    """Where the README's commands are typed: model, prompt file, a run's test split, and the suite's tasks."""
    folder = tmp_path_factory.mktemp("typed")
    tiny_model(tokenizer, max_position_embeddings=1024).network.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    frozen = load_model(str(folder / "model"), device="cpu", log=lambda line: None)
    prompt = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(), PROMPT))
    prompt.save(folder / "prompt.safetensors")
    (folder / "results/paper/data/imdb").mkdir(parents=True)
    labels = ["positive", "negative"]
    rows = [
        {"id": f"imdb/{n}", "input": f"film {n}", "target": labels[n % 2], "answer": labels[n % 2], "level": None}
        for n in range(3)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "results/paper/data/imdb/test.jsonl").write_text(lines)
    (folder / "embedgrad").symlink_to(ROOT / "embedgrad")
    (folder / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / "python").chmod(0o755)
    return folder
