"""Prompts on each other's tasks."""

import pytest
import torch

from embedgrad.analyses.rungs import label_targets
from embedgrad.grading import Grading
from embedgrad.probes.applies import DoesNotApply
from embedgrad.probes.transfer_matrix import AskedTask, transfer_matrix
from embedgrad_core import Decoding, Layout, PromptEmbedding, Slot, decode
from embedgrad_core.files import Item
from embedgrad_core.likelihood import continuation_log_likelihoods

FILM = [Item(f"f{place}", f"a film {place}", word, word) for place, word in enumerate(["positive", "negative"] * 5)]
SUMS = [Item(f"s{place}", f"What is {place} + 1?", f"\\boxed{{{place + 1}}}", f"{place + 1}") for place in range(9)]


@pytest.fixture(scope="module")
def prompts(frozen):
    """Two prompts moved by chance."""
    found = {}
    for seed, (name, text) in enumerate([("film", "positive or negative?"), ("sums", "step by step.")]):
        prompt = PromptEmbedding.from_text(frozen, Slot.place(frozen.tokenizer, Layout(target_prefix="\n"), text))
        prompt.vectors += torch.randn(prompt.vectors.shape, generator=torch.Generator().manual_seed(seed))
        found[name] = prompt
    return found


@pytest.fixture(scope="module")
def tasks():
    """A closed set of answers and an open one."""
    labels = Grading("label", {"labels": ["positive", "negative"]})
    return {
        "film": AskedTask(FILM, labels, Decoding(max_new_tokens=6), label_targets(FILM)),
        "sums": AskedTask(SUMS, Grading("boxed_math"), Decoding(max_new_tokens=8), {}),
    }


def test_each_cell_is_the_prompt_on_that_tasks_items(frozen, prompts, tasks):
    found = transfer_matrix(frozen, prompts, tasks, log=lambda line: None)
    cells = {(one["prompt"], one["task"], one["reading"]): one for one in found["cells"]}
    assert list(cells) == [
        ("film", "film", "generated"),
        ("film", "film", "likelihood"),
        ("film", "sums", "generated"),
        ("sums", "film", "generated"),
        ("sums", "film", "likelihood"),
        ("sums", "sums", "generated"),
    ]
    prompt, labels = prompts["sums"], ["negative", "positive"]
    for side, vectors in (("text", prompt.initial), ("optimised", prompt.vectors)):
        inputs = [item.input for item in FILM]
        values, _ = continuation_log_likelihoods(frozen, prompt.slot, vectors, inputs, labels)
        right = sum(labels[place] == item.answer for place, item in zip(values.argmax(dim=1), FILM, strict=True))
        assert cells["sums", "film", "likelihood"][side] == right
        answers = {row.id: row.output for row in decode(frozen, prompt.slot, vectors, SUMS, Decoding(max_new_tokens=8))}
        grading = Grading("boxed_math")
        right = sum(grading.grade(answers[item.id], item.answer).status == "correct" for item in SUMS)
        assert cells["sums", "sums", "generated"][side] == right
    one = cells["film", "film", "likelihood"]
    assert one["gain"] == pytest.approx(100 * (one["optimised"] - one["text"]) / 10)
    assert one["gain_interval"][0] <= one["gain"] <= one["gain_interval"][1]


def test_a_pair_that_does_not_fit_the_context_is_left_out_and_the_others_stand(frozen, prompts, tasks):
    long = AskedTask(
        [Item(f"l{n}", "step " * 400, "1", "1") for n in range(9)], Grading("exact"), Decoding(max_new_tokens=4), {}
    )
    found = transfer_matrix(frozen, prompts, {**tasks, "long": long}, log=lambda line: None)
    out = [one for one in found["cells"] if "left_out" in one]
    assert {(one["prompt"], one["task"]) for one in out} == {("film", "long"), ("sums", "long")}
    assert len(found["cells"]) == 8


def test_one_prompt_is_no_matrix(frozen, prompts, tasks):
    with pytest.raises(DoesNotApply, match="two tasks"):
        transfer_matrix(frozen, {"film": prompts["film"]}, tasks)
