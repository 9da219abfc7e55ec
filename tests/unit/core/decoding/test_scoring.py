"""Eq. 11 teacher-forced on a given text, and the split of its change."""

import json

import pytest
import torch

from embedgrad.cli import main
from embedgrad_core import Layout, PromptEmbedding, Slot
from embedgrad_core.decoding.scoring import entropy_change, forced_entropies
from embedgrad_core.files import write_jsonl

ANSWERS = [[5, 9, 7, 300], [11], [8, 8, 8, 8, 8, 8]]
BODIES = [[20, 21], [22], [23, 24, 25]]


@pytest.fixture(scope="module")
def prompt(frozen):
    found = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(), "step by step."))
    found.vectors = found.initial + 0.3 * torch.randn(found.initial.shape, generator=torch.Generator().manual_seed(3))
    return found


def plain(frozen, vectors, body, answer):
    """Float64, one position at a time."""
    embed = frozen.network.get_input_embeddings()
    entropies = []
    for step in range(len(answer)):
        ids = torch.tensor([*body, *answer[:step]], dtype=torch.long)
        logits = frozen.network(inputs_embeds=torch.cat([vectors, embed(ids)])[None]).logits[0, -1].double()
        p = torch.softmax(logits, dim=0)
        entropies.append(float(-(p * p.log2()).sum()))
    return entropies


def test_forced_entropies_equal_float64_one_position_at_a_time(frozen, prompt):
    found = forced_entropies(frozen, prompt.slot, prompt.vectors, BODIES, ANSWERS)
    for bits, body, answer in zip(found, BODIES, ANSWERS, strict=True):
        assert bits == pytest.approx(plain(frozen, prompt.vectors, body, answer), abs=1e-4)


def test_the_change_splits_exactly(frozen, prompt):
    other = [[7, 7], [300, 5, 9], [12, 300]]
    report = entropy_change(frozen, prompt, ["a", "b", "c"], BODIES, ANSWERS, other)
    row, summary = report["items"][0], report["summary"]
    expected = plain(frozen, prompt.initial, BODIES[0], other[0])
    assert row["before_prompt_after_text"] == pytest.approx(sum(expected) / 2, abs=1e-4)
    assert summary["total"]["mean"] == pytest.approx(summary["prompt"]["mean"] + summary["text"]["mean"], abs=1e-12)
    for part in ("total", "prompt", "text"):
        assert summary[part]["low"] <= summary[part]["mean"] <= summary[part]["high"]


def test_the_same_prompt_changes_nothing_on_the_same_text(frozen, prompt):
    still = PromptEmbedding(prompt.initial, prompt.initial, prompt.slot)
    summary = entropy_change(frozen, still, ["a", "b", "c"], BODIES, ANSWERS, ANSWERS)["summary"]
    assert all(abs(summary[part][key]) < 1e-12 for part in ("total", "prompt", "text") for key in ("mean", "low"))


def test_empty_answers_are_left_out_and_counted(frozen, prompt):
    report = entropy_change(frozen, prompt, ["a", "b"], BODIES[:2], [[], [5]], [[7], [5]])
    assert [row["id"] for row in report["items"]] == ["b"]
    assert report["summary"]["left_out"] == 1
    nothing = entropy_change(frozen, prompt, ["a"], BODIES[:1], [[]], [[7]])
    json.dumps(nothing, allow_nan=False)
    assert nothing["summary"]["total"] == {"mean": None, "low": None, "high": None}


def test_a_missing_answer_is_named(tmp_path, capsys):
    row = {"input": "x", "target": "y", "answer": "y", "level": None}
    write_jsonl(tmp_path / "test.jsonl", [{"id": "one", **row}, {"id": "two", **row}])
    answer = {"id": "one", "output": "y", "n_tokens": 1, "stop": "eos", "entropy_bits": 0.1}
    write_jsonl(tmp_path / "before.jsonl", [answer])
    flags = ["--model", "m", "--prompt-file", "p", "--out", "o", "--after", "x"]
    files = ["--data", str(tmp_path / "test.jsonl"), "--before", str(tmp_path / "before.jsonl")]
    assert main(["entropy", *flags, *files]) == 2
    assert "before.jsonl: no answer to item two (1 are missing)" in capsys.readouterr().err
