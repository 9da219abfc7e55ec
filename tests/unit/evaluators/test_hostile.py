r"""Hostile answers: nothing is run, nothing raises, nothing takes long, and what runs out of bounds says so."""

import json

import hostile_texts as hostile
import pytest

from embedgrad.cli import main
from embedgrad_core.files import Item, read_jsonl, write_jsonl
from evaluators import boxed_math, exact, grade, label, yes_no

BEYOND = {
    "a tower of powers": "9^{9^{9^9}}",
    "a factorial": "99999!",
    "a number of a thousand digits": "7" * 1_001,
    "an exponent": "1e99999",
    "a root of a large number": "+".join(["\\sqrt[3]{9^{39999}+1}"] * 20),
    "an angle": "\\sin(e^{99999})",
    "brackets in brackets": "(" * 61 + "1" + ")" * 61,
    "a long box": "1+" * 1_001 + "1",
    "a box that is longer spelt out": "½" * 1_000,
    "many names": ",".join(f"x_{n}" for n in range(380)),
    "a long answer": "x" * 1_000_001,
}


@pytest.mark.parametrize("text", BEYOND.values(), ids=BEYOND)
def test_out_of_bounds_is_a_verdict_of_its_own(text):
    verdict = grade("boxed_math", f"\\boxed{{{text}}}", "1,2")
    assert (verdict.status, verdict.out_of_bounds) == ("undecided", True)
    assert verdict.reason.startswith("out of bounds: ")
    assert len(verdict.extracted or "") <= boxed_math.LONGEST


def test_a_gold_answer_out_of_bounds_is_not_the_answers_fault():
    assert boxed_math.grade("\\boxed{2}", "{" * 3_000).reason == "out of bounds: the gold answer is too long to compare"


@pytest.mark.parametrize("checker", [label, yes_no, exact, boxed_math])
def test_no_checker_reads_a_text_without_end(checker):
    options = {"labels": hostile.LABELS} if checker is label else {}
    verdict = checker.grade("yes sad " * 150_000, "sad", **options)
    assert (verdict.status, verdict.extracted, verdict.out_of_bounds) == ("undecided", None, True)


def test_the_graded_line_and_the_count_say_out_of_bounds(tmp_path, capsys):
    """By the command: a lone surrogate as an answer must not keep the other lines from being written, either."""
    outputs = {"a": "\\boxed{9^{9^{9^9}}}", "b": "\\boxed{\ud800}", "c": "\\boxed{42}", "d": "\\boxed{" + "{" * 100_000}
    write_jsonl(tmp_path / "test.jsonl", [Item(key, "?", "42", "42").row() for key in outputs])
    row = {"n_tokens": 3, "stop": "eos", "entropy_bits": 0.1}
    lines = [json.dumps({"id": key, "output": text, **row}) for key, text in outputs.items()]
    (tmp_path / "out.jsonl").write_text("\n".join([*lines, ""]))
    files = ["--data", str(tmp_path / "test.jsonl"), "--outputs", str(tmp_path / "out.jsonl")]
    assert main(["grade", *files, "--evaluator", "boxed_math", "--out", str(tmp_path / "graded.jsonl")]) == 0
    graded = {line["id"]: line for line in read_jsonl(tmp_path / "graded.jsonl")}
    assert [graded[key]["failure"] for key in outputs] == ["undecided", "wrong", "none", "no_answer"]
    assert graded["a"]["reason"] == "out of bounds: a power is too large to compare"
    assert graded["b"]["output"] == outputs["b"]
    assert "1 of 4 correct; " in (told := capsys.readouterr().out)
    assert "undecided 1" in told


MENDED = [
    ("\\ln 0 - \\ln 0", "42", "wrong"),  # an infinity less itself agreed with anything
    ("1.2345678901234e9999", "\\pi", "wrong"),  # more than a float holds
    ("1.2345678901234e-999", "\\pi", "wrong"),
    ("0.0000000000001e-999", "\\pi", "wrong"),
    ("10^{4000}x=10^{4000}", "x=1", "correct"),
    ("10^{4000}x<10^{4000}", "x<1", "correct"),
    ("\\pi x=\\pi", "x=1", "correct"),
    ("\\sqrt[3]{2^{30000}}", "2^{10000}", "correct"),
    ("\\sqrt[5]{3^{20000}}", "3^{4000}", "correct"),
    ("\\boxed{1", "2", "wrong"),
]


@pytest.mark.parametrize(("answer", "gold", "status"), MENDED)
def test_what_was_mended(answer, gold, status):
    assert boxed_math.grade(f"so \\boxed{{{answer}}}", gold).status == status


def test_boxes_in_boxes_are_extracted_in_linear_time():
    assert boxed_math.extract("\\boxed{" * 60_000 + "7" + "}" * 60_000).startswith("\\boxed{")
    assert boxed_math.extract("\\boxed 7. and \\boxed{8.}") == "8."
    assert boxed_math.extract("\\boxed{8.} and \\boxed 7.") == "7"


def test_a_fraction_and_a_float_are_each_held_against_nothing():
    """π = π differs from itself by 0 exactly, a line's two sides by a float: the two do not compare with each other."""
    assert boxed_math.grade(r"so \boxed{\pi = \pi}.", "y = 2x + 3").status == "wrong"
    assert boxed_math.grade(r"so \boxed{0 = 0}.", "y = 2x + 3").status == "wrong"
