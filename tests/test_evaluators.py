"""Labels and Yes/No as models write them: two tables, one row a case, each with its reason."""

import csv

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

import evaluators
import tasks


def table(name):
    with (ROOT / "tests/tables" / name).open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source, delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in rows:
        row["text"] = row["text"].replace("\\\\", "\x01").replace("\\n", "\n").replace("\x01", "\\")
    return rows


def of_task(name):
    """A task's labels and synonyms, or the labels of a list that is no task's: ``yes|no|maybe``."""
    if "|" in name:
        return {"labels": name.split("|")}
    task = tasks.find(name)
    return {"labels": list(task.LABELS), "synonyms": task.SYNONYMS}


LABELS, YES_NO = table("labels.tsv"), table("yes_no.tsv")


def test_the_tables_are_large_enough():
    assert len(LABELS) >= 150
    assert len(YES_NO) >= 80
    assert all(row["reason"] for row in [*LABELS, *YES_NO])


@pytest.mark.parametrize("row", LABELS, ids=lambda row: f"{row['task']}: {row['text'][:40]!r}")
def test_labels(row):
    options = of_task(row["task"])
    for gold in options["labels"]:
        verdict = evaluators.grade("label", row["text"], gold, **options)
        wanted = "no_answer" if row["expected"] == "-" else "correct" if gold == row["expected"] else "wrong"
        assert (verdict.status, verdict.extracted) == (wanted, None if wanted == "no_answer" else row["expected"]), row[
            "reason"
        ]


@pytest.mark.parametrize("row", YES_NO, ids=lambda row: repr(row["text"][:40]))
def test_yes_no(row):
    for gold in ("Yes", "No"):
        wanted = "no_answer" if row["expected"] == "-" else "correct" if gold == row["expected"] else "wrong"
        assert evaluators.grade("yes_no", row["text"], gold).status == wanted, row["reason"]


STRICT = [
    ("sad", "sad"),
    ("The main emotion is **sad**.", "sad"),
    ("sad, I think", None),
    ("not sad", None),
    ("unhappy", None),
    ("伤心", "sad"),
    ("", None),
]


@pytest.mark.parametrize(("text", "label"), STRICT)
def test_strict_wants_the_label_at_the_end(text, label):
    assert evaluators.grade("label", text, "sad", strict=True, **of_task("medd")).extracted == label


@pytest.mark.parametrize(
    ("text", "answer"), [("Yes", "Yes"), ("So: **No**.", "No"), ("Yes, he did", None), ('Answer "Yes" or "No"', None)]
)
def test_strict_wants_yes_or_no_at_the_end(text, answer):
    assert evaluators.grade("yes_no", text, "Yes", strict=True).extracted == answer


def test_exact_compares_the_whole_text():
    assert evaluators.grade("exact", " a b\n", "a b").status == "correct"
    assert evaluators.grade("exact", "a  b", "a b").status == "wrong"
    assert evaluators.grade("exact", " ", "a").status == "no_answer"


WORDS = st.lists(
    st.sampled_from(
        ["sad", "angry", "not", "the answer is", "yes", "no", "[", "]", '"', ",", ".", "\n", "不是", "伤心", "\x00", "\ud800"]
    )
    | st.text(max_size=5),
    max_size=40,
).map(" ".join)  # fmt: skip


@given(WORDS)
def test_no_text_raises(text):
    assert evaluators.grade("label", text, "sad", **of_task("medd")).status in ("correct", "wrong", "no_answer")
    assert evaluators.grade("yes_no", text, "No").status in ("correct", "wrong", "no_answer")
    assert evaluators.grade("exact", text, "No").status in ("correct", "wrong", "no_answer")


LONG = [
    "sad, " * 200_000,
    "[" * 100_000,
    '"' * 99_999 + "yes",
    "not " * 100_000 + "sad",
    "no " * 200_000,
    "answer is " * 50_000,
]


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_long_text_is_read_in_bounded_time(text):
    import time

    started = time.process_time()
    evaluators.grade("label", text, "sad", **of_task("medd"))
    evaluators.grade("yes_no", text, "No")
    assert time.process_time() - started < 5
