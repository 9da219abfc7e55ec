r"""Boxed maths: tables of public and own cases, metamorphic properties, and hostile text."""

import csv
import json
import re
import time

import pytest
from budget import times
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ROOT

from evaluators import boxed_math


def status(answer, gold):
    return boxed_math.grade(f"\\boxed{{{answer}}}", gold).status


BOXES = [
    ("so \\boxed{42}.", "42"),
    ("\\boxed{1} then \\boxed{2}", "2"),
    ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
    ("\\boxed {7}", "7"),
    ("\\boxed 7 and so on", "7"),
    ("\\boxed{4}. I marked it with \\boxed as asked.", "4"),  # a mention in prose
    ("\\boxed{4}, in a \\boxed a", "4"),
    ("I marked it with \\boxed as asked.", None),
    ("\\boxed x.", "x"),
    ("\\fbox{7}", "7"),
    ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
    ("\\boxed{3} and then \\boxed{4", "3"),  # a truncated last box: the one before counts
    ("\\boxed{a} \\boxed{}", None),  # the last box is empty, and an empty box never matches
    ("\\boxed{}", None),
    ("the answer is 42", None),
    ("", None),
    ("{" * 1000 + "\\boxed{5}", "5"),
]


@pytest.mark.parametrize(("text", "content"), BOXES)
def test_the_last_balanced_box(text, content):
    assert boxed_math.extract(text) == content


@given(st.lists(st.sampled_from(["7", r"\frac{1}{2}", r"\boxed{3}", "x_{1}"]), min_size=1, max_size=5), st.booleans())
def test_the_first_box_may_be_read_in_place_of_the_last(contents, cut):
    """A box inside another belongs to it, and one that is cut off is passed over, at either end."""
    text = "so ".join(rf"\boxed{{{content}}}" for content in contents) + (r" and \boxed{9" if cut else "")
    assert boxed_math.extract(text, "first") == contents[0]
    assert boxed_math.extract(text) == contents[-1]
    gold = "7"
    assert (boxed_math.grade(text, gold, box="first").status == "correct") == (contents[0] == gold)


# answer, gold, expected, the rule it stands for
EQUAL = [
    (r"0.5", r"\frac{1}{2}", "decimals are exact"),
    (r"\dfrac12", r"\frac{1}{2}", "short fractions"),
    (r"1{,}234", "1234", "thousands"),
    (r"1,\!234", "1234", "thousands"),
    (r"1 234", "1234", "thousands"),
    (r"90^\circ", "90", "a left-out unit"),
    (r"90°", r"90^{\circ}", "degree signs"),
    (r"864\text{ in}^2", r"864 \mbox{ inches}^2", "unit names"),
    (r"\$5", r"5\text{ dollars}", "currency"),
    (r"x = 5", "5", "a name in front"),
    (r"f(x) = 2x", "2x", "a name in front"),
    (r"3, 2, 1", "1,2,3", "lists have no order"),
    (r"\{1, 2\}", "2 \\text{ and } 1", "sets and lists"),
    (r"1 \pm \sqrt{2}", r"1+\sqrt2, 1-\sqrt2", "plus-minus is two values"),
    (r"x > 5", r"(5, \infty)", "inequality and interval"),
    (r"-2 \le x < 7", r"x \in [-2, 7)", "inequality and interval"),
    (r"-x < -5", "x > 5", "a negative factor turns an inequality"),
    (r"2y = 4x + 6", "y = 2x + 3", "equations up to a factor"),
    (r"1\frac{1}{2}", r"\frac{3}{2}", "mixed numbers"),
    (r"(2516)_8", "2516_{8}", "bases"),
    (r"0.\overline{3}", r"\frac13", "periods"),
    (r"1.2e3", "1200", "scientific notation"),
    (r"\begin{bmatrix}1\\2\end{bmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "matrix brackets"),
    (r"\sqrt{113}\cdot 2", r"2\sqrt{113}", "products"),
    (r"√113", r"\sqrt{113}", "unicode"),
    (r"½", "0.5", "unicode"),
    (r"\sec^2 x - \tan^2 x", "1", "identities"),
    (r"\sqrt[3]{-8}", "-2", "real roots"),
    (r"\binom{5}{2}", "10", "binomials"),
    (r"(A)", r"\text{A}", "choices"),
    (r"\text{Even}", "even", "words"),
    (r"0.14285714285714285", r"\frac17", "full float precision"),
    (r"\frac{2}{4}", r"\frac12", "unreduced"),
    (r"(x+1)^2", "x^2+2x+1", "polynomials"),
    (r"6 - 5i", "-5i+6", "complex numbers"),
    (r"\left(3, \frac{\pi}{2}\right)", r"(3,\pi/2)", "points"),
    (r"(0,9)\cup(9,36)", r"(9,36)\cup (0,9)", "unions"),
    (r"42.", "42", "a trailing stop"),
    (r"x<3 \text{ or } x>5", r"(-\infty,3)\cup(5,\infty)", "inequalities and unions"),
    (r"2\text{ m}", r"2\text{ meters}", "unit names"),
    (r"x_1=2, x_2=3", "2, 3", "names with an index"),
    (r"\log_2 8", "3", "logarithms"),
    (r"e^{i\pi}", "-1", "constants"),
    (r"\{\}", r"\{ \}", "empty sets"),
]
DIFFERENT = [
    (r"0.33", r"\frac13", "no tolerance"),
    (r"3.14", r"\pi", "no tolerance"),
    (r"41", "42", "a digit"),
    (r"-5", "5", "a sign"),
    (r"(2,1)", "(1,2)", "tuples have an order"),
    (r"(1,2)", "[1,2]", "brackets count"),
    (r"[1,2)", "(1,2]", "brackets count"),
    (r"12,34", "1234", "no thousands"),
    (r"1,2,2", "1,1,2", "multiplicity"),
    (r"2516_9", "2516_8", "bases"),
    (r"52_8", "52", "a base belongs to the value"),
    (r"1/2^{99}", r"\frac{1}{2^{98}}", "tiny numbers"),
    (r"2^{-200}\pi", r"2^{-201}\pi", "tiny numbers"),
    (r"5\text{ cm}", r"5\text{ m}", "another unit"),
    (r"\$36", r"36^\circ", "another unit"),
    (r"x = 5", "y = 5", "another name"),
    (r"x < 5", "x > 5", "direction"),
    (r"x \le 5", "x < 5", "strictness"),
    (r"0", "x + y = 0", "an equation is no value"),
    (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "a determinant is no matrix"),
    (r"\sqrt{x^2}", "x", "not for negative x"),
    (r"\frac{1}{0}", r"\frac{2}{0}", "undefined"),
    (r"x^{2}", "x^{3}", "an exponent"),
    (r"4 2", "42", "no digits across a space"),
    (r"\text{west}", "east", "words"),
    (r"teas", "east", "letters of a word are no product"),
    (r"__import__('os').system('true')", "0", "nothing is run"),
]


@pytest.mark.parametrize(("answer", "gold", "rule"), EQUAL)
def test_equal(answer, gold, rule):
    assert status(answer, gold) == "correct", rule
    assert status(gold, answer) == "correct", rule


@pytest.mark.parametrize(("answer", "gold", "rule"), DIFFERENT)
def test_different(answer, gold, rule):
    assert status(answer, gold) == "wrong", rule
    assert status(gold, answer) == "wrong", rule


def table():
    r"""Kinds of answers that users met, one a row; what cannot be seen is written as \u200b."""
    with (ROOT / "tests/tables/boxed_math.tsv").open(encoding="utf-8", newline="") as source:
        rows = [list(row.values()) for row in csv.DictReader(source, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return [[re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), cell) for cell in row] for row in rows]


def test_kinds_of_answers():
    rows = table()
    assert len(rows) > 450
    verdicts = [(row, status(*row[1:3]), status(*row[2:0:-1])) for row in rows]
    assert [verdict for verdict in verdicts if verdict[1:] != (verdict[0][0],) * 2] == []


BEYOND = [
    "9^{9^{9^{9}}}",
    "(10^{10})!",
    "2^{2^{100}}",
    "(" * 500 + "1" + ")" * 500,
    "1" * 3000,
    r"\exp(\exp(\exp(100)))",
]


@pytest.mark.parametrize("answer", BEYOND, ids=range(len(BEYOND)))
def test_what_is_out_of_bounds_is_quick_and_never_correct(answer):
    started = time.process_time()  # of computing: what others do on a busy machine is not the checker's
    assert status(answer, "1") in ("undecided", "wrong")
    assert time.process_time() - started < 2


HOSTILE = st.lists(
    st.sampled_from(
        [*"0123456789+-*/^_!|(){}[],.=<>%$&\\ xyie", "\\frac", "\\sqrt", "\\boxed{", "\\text{", "}", "\\pm", "\\cup", "\\in",
         "\\begin{pmatrix}", "\\end{pmatrix}", "\\overline{3}", "99999", "e9", "\x00", "\ud800", "\u202e", "９", "½", "∞"]
    ),
    max_size=60,
).map("".join)  # fmt: skip


@settings(max_examples=times(1_000), deadline=None)  # hypothesis goes by the clock on the wall
@given(HOSTILE, HOSTILE)
def test_no_text_raises_or_hangs(text, gold):
    for answer in (f"\\boxed{{{text}}}", text):
        started = time.process_time()
        verdict = boxed_math.grade(answer, gold)
        assert time.process_time() - started < 1
        assert verdict.status in ("correct", "wrong", "no_answer", "undecided")
        assert "failed" not in verdict.reason, "a fault of the checker's own"


@given(st.fractions(max_denominator=500), st.fractions(max_denominator=500))
def test_fractions_are_equal_only_when_they_are(a, b):
    forms = (f"\\frac{{{a.numerator}}}{{{a.denominator}}}", f"{a.numerator}/{a.denominator}")
    gold = f"\\frac{{{b.numerator}}}{{{b.denominator}}}"
    assert all((status(form, gold) == "correct") == (a == b) for form in forms)


def cases(mirror, name):
    rows = [json.loads(line) for line in (mirror / "data/graders" / name).open(encoding="utf-8")]
    return [row for row in rows if not row.get("disputed")]


@pytest.mark.mirror
def test_public_cases_of_equivalence(mirror):
    rows = cases(mirror, "math_equiv.jsonl")
    verdicts = [(row, boxed_math.grade(row["prediction"], row["gold"]).status == "correct") for row in rows]
    false_positives = [row for row, verdict in verdicts if verdict and not row["expected"]]
    wrong = [row for row, verdict in verdicts if verdict != row["expected"]]
    assert len(rows) > 500
    assert len(false_positives) <= 3, false_positives
    assert len(wrong) <= 0.015 * len(rows), wrong


@pytest.mark.mirror
def test_public_cases_of_extraction(mirror):
    rows = cases(mirror, "math_extract.jsonl")
    wrong = [row for row in rows if boxed_math.extract(row["text"]) != row["expected"]]
    assert len(rows) > 100
    assert len(wrong) <= 0.02 * len(rows), wrong
