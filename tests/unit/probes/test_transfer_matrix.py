"""Prompts on each other's tasks."""

import pytest
import torch

from embedgrad.analyses.baselines.rungs import label_targets
from embedgrad.grading import Grading
from embedgrad.probes.applies import DoesNotApply
from embedgrad.probes.transfer_matrix import AskedTask, transfer_matrix
from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot, decode
from embedgrad_core.files import Item
from embedgrad_core.likelihood import continuation_log_likelihoods

FILM = [Item(f"f{place}", f"a film {place}", word, word) for place, word in enumerate(["positive", "negative"] * 5)]
SUMS = [Item(f"s{place}", f"What is {place} + 1?", f"\\boxed{{{place + 1}}}", f"{place + 1}") for place in range(9)]


@pytest.fixture(scope="module")
def prompt(frozen):
    """One that was moved by chance."""
    found = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(target_prefix="\n"), "step by step."))
    found.vectors += torch.randn(found.vectors.shape, generator=torch.Generator().manual_seed(1))
    return found


@pytest.fixture(scope="module")
def tasks():
    """A closed set of answers and an open one."""
    labels = Grading("label", {"labels": ["positive", "negative"]})
    return {
        "film": AskedTask(FILM, labels, Decoding(max_new_tokens=6), label_targets(FILM)),
        "sums": AskedTask(SUMS, Grading("boxed_math"), Decoding(max_new_tokens=8), {}),
    }


def test_each_cell_is_the_prompt_on_that_tasks_items(frozen, prompt, tasks):
    asked = transfer_matrix(frozen, prompt, tasks, log=lambda line: None)["asked"]
    cells = {(one["task"], one["reading"]): one["found"] for one in asked}
    assert list(cells) == [("film", "generated"), ("film", "likelihood"), ("sums", "generated")]
    labels = ["negative", "positive"]
    for side, vectors in (("text", prompt.initial), ("optimised", prompt.vectors)):
        inputs = [item.input for item in FILM]
        values, _ = continuation_log_likelihoods(frozen, prompt.slot, vectors, inputs, labels)
        right = sum(labels[place] == item.answer for place, item in zip(values.argmax(dim=1), FILM, strict=True))
        assert cells["film", "likelihood"][side] == right
        rows = decode(frozen, prompt.slot, vectors, SUMS, Decoding(max_new_tokens=8))
        answers, grading = {row.id: row.output for row in rows}, Grading("boxed_math")
        right = sum(grading.grade(answers[item.id], item.answer).status == "correct" for item in SUMS)
        assert cells["sums", "generated"][side] == right
    one = cells["film", "likelihood"]
    assert one["gain"] == pytest.approx(100 * (one["optimised"] - one["text"]) / 10)
    assert one["gain_interval"][0] <= one["gain"] <= one["gain_interval"][1]


def test_a_task_that_does_not_fit_the_context_is_left_out_and_the_others_stand(frozen, prompt, tasks):
    items = [Item(f"l{place}", "step " * 400, "1", "1") for place in range(9)]
    long = AskedTask(items, Grading("exact"), Decoding(max_new_tokens=4), {})
    asked = transfer_matrix(frozen, prompt, {**tasks, "long": long}, log=lambda line: None)["asked"]
    assert [one["task"] for one in asked if one["left_out"]] == ["long"]
    assert len(asked) == 4


def test_one_task_is_no_matrix_nor_is_one_beside_a_handful_of_items(frozen, prompt, tasks):
    with pytest.raises(DoesNotApply, match="two tasks"):
        transfer_matrix(frozen, prompt, {"film": tasks["film"]})
    few = AskedTask(SUMS[:4], Grading("boxed_math"), Decoding(max_new_tokens=8), {})
    with pytest.raises(DoesNotApply, match="there is 1"):
        transfer_matrix(frozen, prompt, {"film": tasks["film"], "few": few})
