"""Which box of an answer counts: set for a run or a command, kept in prompt files, and named by protocol recovery as its own."""

import pytest
import yaml
from places import ROOT

from embedgrad.analyses.baselines.protocols import readings
from embedgrad.cli import main
from embedgrad.grading import Grading, grading_of_task, make_grading
from embedgrad.planning.run_config import RunConfig
from embedgrad.stored import stored_grading
from embedgrad_core.files import UserError, read_jsonl, write_jsonl

TWO = r"First \boxed{1}, and after another look \boxed{2}."


@pytest.mark.parametrize(("box", "right"), [(None, "2"), ("last", "2"), ("first", "1")])
def test_the_box_decides_which_answer_is_right(tmp_path, box, right):
    items = [{"id": k, "input": "x", "target": k, "answer": k, "level": None} for k in "12"]
    decoded = {"output": TWO, "n_tokens": 9, "stop": "eos", "entropy_bits": 0.1}
    write_jsonl(tmp_path / "data.jsonl", items)
    write_jsonl(tmp_path / "answers.jsonl", [{"id": k, **decoded} for k in "12"])
    flags = ["--data", str(tmp_path / "data.jsonl"), "--outputs", str(tmp_path / "answers.jsonl")]
    flags += ["--task", "math500", "--out", str(tmp_path / "out.jsonl"), *(["--box", box] if box else [])]
    assert main(["grade", *flags]) == 0
    assert [row["id"] for row in read_jsonl(tmp_path / "out.jsonl") if row["correct"]] == [right]


def test_the_last_box_leaves_files_as_they_were_and_the_first_is_kept():
    assert grading_of_task("math500", box="last").row() == grading_of_task("math500").row()
    first = make_grading("boxed_math", None, box="first")
    assert stored_grading("p", {"grading": first.row()}) == first
    assert first.grade(TWO, "1").status == "correct"
    assert [reading["box"] for reading, _ in readings(first)] == ["last", "first"]


@pytest.mark.parametrize(
    "kept",
    [{"evaluator": "boxed_math", "options": {"box": "second"}}, {"evaluator": "exact", "options": {"box": "first"}}],
)
def test_a_prompt_file_with_another_box_is_refused(kept):
    with pytest.raises(UserError, match="key 'grading'"):
        stored_grading("p", {"grading": kept})


def test_a_box_of_answers_without_boxes_is_refused():
    with pytest.raises(UserError, match="box first is for evaluator boxed_math alone, not for yes_no"):
        grading_of_task("causal_judgment", box="first")
    with pytest.raises(UserError, match="not for label"):
        make_grading("label", ["a", "b"], box="last")
    assert Grading("boxed_math").knows_boxes


def test_only_jobs_of_boxed_maths_get_the_flag():
    values = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    plain, first = (
        RunConfig.check(values | {"decode": values["decode"] | more}, "paper.yaml") for more in ({}, {"box": "first"})
    )
    assert first.grade_flags("math500") == plain.grade_flags("math500") + " --box first"
    for task in ("imdb", "medd", "causal_judgment"):
        assert first.grade_flags(task) == plain.grade_flags(task)
    assert first.asked_flags("qwen2.5-math-7b").endswith("--box first")
    assert "--box" not in first.asked_flags("qwen2.5-3b-instruct")
