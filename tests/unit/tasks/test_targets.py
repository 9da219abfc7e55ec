"""What label tasks train on: the label, a sentence that states it, or (from another job) the model's own chain."""

import pytest

from embedgrad import tasks
from embedgrad.grading import grading_of_task
from embedgrad.tasks.splitting.prepare import prepare
from embedgrad.tasks.targets import KINDS, STATED
from embedgrad_core.files import UserError, read_json, read_jsonl

LABEL_TASKS = [name for name, task in tasks.TASKS.items() if hasattr(task, "LABELS")]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("task", LABEL_TASKS)
def test_the_sentence_is_graded_as_the_label_it_states(task, strict):
    grading = grading_of_task(task, strict)
    labels = tasks.find(task).LABELS
    for label in labels:
        for gold in labels:
            assert (grading.grade(STATED.format(label), gold).status == "correct") == (label == gold)


@pytest.mark.parametrize("task", ["mood", "blame"])
def test_only_the_target_changes_and_the_split_names_its_kind(tmp_path, task):
    for kind in (None, *KINDS):
        prepare(task, tmp_path / str(kind), options={"count": 40} | ({"target": kind} if kind else {}))
    plain = read_jsonl(tmp_path / "None" / "train.jsonl")
    for kind in KINDS:
        rows = read_jsonl(tmp_path / kind / "train.jsonl")
        assert read_json(tmp_path / kind / "split.json")["target"] == kind
        assert [row | {"target": ""} for row in rows] == [row | {"target": ""} for row in plain]
        wanted = STATED if kind == "sentence" else "{}"
        assert [row["target"] for row in rows] == [wanted.format(row["answer"]) for row in plain]
    assert read_json(tmp_path / "None" / "split.json")["target"] == "label"


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(UserError, match="mood: option target is 'solution'; choose 'label', 'sentence', 'own_chain'"):
        prepare("mood", tmp_path, options={"target": "solution"})
