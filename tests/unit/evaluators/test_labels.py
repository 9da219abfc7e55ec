"""Labels and Yes/No as models write them: two tables, one row a case, each with its reason."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT

import evaluators
from embedgrad import tasks


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
    return {"labels": list(task.LABELS), "synonyms": getattr(task, "SYNONYMS", {})}


LABELS, YES_NO, REAL = table("labels.tsv"), table("yes_no.tsv"), table("real_answers.tsv")


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


# Where the lenient reading differs from the reader's: what it says, and why that is left so.
DIFFERS = {
    "imdb/test/pos/5094_10 before": ("negative", "says positive, then negative, then a mix of both: the last counts"),
    "medd/02122 before": ("none", '"sadness" is a form that no table lists'),
    "medd/00357 before": ("sad", "a list of options that is never closed, half of them in other forms"),
    "medd/00967 before": ("angry", "names two as the strongest, each in turn: the last cue counts"),
    "medd/00523 before": ("none", '"sadness" again'),
    "medd/01503 before": ("none", '"sadness" again'),
    "medd/03126 before": ("sad", 'a chain of "and" over all options, begun anew without an end'),
    "causal_judgment/159 before": ("Yes", '"So, yes, I answered the question"'),
    "imdb/test/pos/4868_7 before, Qwen": (
        "positive",
        'cut off; "a positive conclusion" of one scene is the last mention',
    ),
}


def test_a_reading_of_real_answers_one_by_one():
    """Of SmolLM2-135M-Instruct 120, of Qwen2.5-Coder-0.5B-Instruct 80, drawn with seed 0 and read before the checker.

    The rules were tried on the part called tuned; the other says how they do on answers that they were not written for.
    """
    differs, agreed = {}, {"tuned": 0, "untouched": 0}
    for row in REAL:
        options = {} if row["task"] == "causal_judgment" else of_task(row["task"])
        evaluator = "label" if options else "yes_no"
        told = evaluators.grade(evaluator, row["text"], row["reading"], **options).extracted or "none"
        agreed[row["half"]] += told == row["reading"]
        if told != row["reading"]:
            differs[row["id"]] = told
    assert differs == {key: told for key, (told, _) in DIFFERS.items()}
    assert (len(REAL), agreed) == (200, {"tuned": 56, "untouched": 135})


STRICT = [
    ("sad", "sad"),
    ("The main emotion is **sad**.", "sad"),
    ("sad, I think", None),
    ("not sad", None),
    ("unhappy", None),
    ("伤心", "sad"),
    ("非常伤心", "sad"),
    ("不伤心", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "label"), STRICT)
def test_strict_wants_the_label_at_the_end(text, label):
    assert evaluators.grade("label", text, "sad", strict=True, **of_task("medd")).extracted == label


def test_strict_reads_labels_of_every_kind():
    for text, labels, wanted in (
        ("It is C#.", ["C", "C#"], "C#"),
        ("**card_lost**", ["card_lost", "card_arrival"], "card_lost"),
        ("I rate it 4/5", ["4", "5"], "4"),
        ("3.5", ["3", "5"], None),
        ("unglücklich", ["glücklich"], None),
        ("Not  toxic.", ["toxic", "not toxic"], "not toxic"),
    ):
        assert evaluators.grade("label", text, labels[0], labels=labels, strict=True).extracted == wanted, text


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
