"""Boxed maths on real gold solutions: rewrites keep the meaning, changes do not."""

import itertools
import json

import pytest
from budget import times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluators import boxed_math
from evaluators.boxed_math.parsing.normalise import normalise


def status(answer, gold):
    return boxed_math.grade(f"\\boxed{{{answer}}}", gold).status


@pytest.fixture(scope="module")
def math500(mirror):
    return [json.loads(line) for line in (mirror / "data/math500.jsonl").open(encoding="utf-8")]


@pytest.mark.mirror
def test_every_gold_solution_is_correct(math500):
    assert [
        row["answer"] for row in math500 if boxed_math.grade(row["solution"], row["answer"]).status != "correct"
    ] == []


# Golds of different problems that do say the same: a unit or a name left out, an order, a spelling.
SAME = [{"1,-2", "-2,1"}, {"5", "x=5"}, {"15", "15\\mbox{ cm}^2"}, {"2 \\sqrt{5}", "2\\sqrt{5}"}, {"\\frac14", "\\frac{1}{4}"},
        *({number, f"{number}^\\circ"} for number in ("30", "36", "90", "120")), {"36", "\\$36"}]  # fmt: skip


@pytest.mark.mirror
def test_no_gold_equals_another_that_differs(math500):
    golds = sorted({row["answer"] for row in math500})
    called_equal = [
        {a, b}
        for a, b in itertools.combinations(golds, 2)
        if status(a, b) == "correct" and normalise(a) != normalise(b)
    ]
    assert [pair for pair in called_equal if pair not in SAME] == []


def with_left_and_right(gold):
    return gold.replace("(", "\\left(").replace(")", "\\right)") if "[" not in gold and "]" not in gold else gold


REWRITES = {
    "dfrac": lambda gold: gold.replace("\\frac", "\\dfrac"),
    "left and right": with_left_and_right,
    "dollars": lambda gold: f"${gold}$",
    "inline maths": lambda gold: f"\\( {gold} \\)",
    "a stop": lambda gold: gold + ".",
    "spaces": lambda gold: (
        gold.replace("+", " + ").replace("=", " = ").replace("^{", "^{ ").replace("frac{", "frac { ")
    ),
    "thin space": lambda gold: gold + "\\,",
    "braces": lambda gold: f"{{{gold}}}" if "," not in gold else gold,
    "displaystyle": lambda gold: "\\displaystyle " + gold,
}


def another_digit(gold):
    place = next((place for place, character in enumerate(gold) if character.isdecimal()), None)
    return None if place is None else gold[:place] + str((int(gold[place]) + 1) % 10) + gold[place + 1 :]


def another_bracket(gold):
    pair = gold.startswith("(") and gold[-1] in ")]" and gold.count("(") == 1 and "," in gold
    return f"[{gold[1:]}" if pair else None


def swapped(gold):
    pair = gold.startswith("(") and gold.endswith(")") and gold.count("(") == 1 and gold.count(",") == 1
    return f"({','.join(gold[1:-1].split(',')[::-1])})" if pair else None


CHANGES = {
    "a digit": another_digit,
    "a sign": lambda gold: f"-{gold}" if gold.isdecimal() and int(gold) else None,
    "a factor": lambda gold: f"7{gold}" if gold.isdecimal() else None,
    "one more": lambda gold: f"{gold}+1" if gold.isdecimal() else None,
    "a power": lambda gold: f"{gold}^3" if gold.isdecimal() and int(gold) > 1 else None,
    "a bracket": another_bracket,
    "swapped": swapped,
}


@pytest.mark.mirror
@pytest.mark.parametrize("rewrite", REWRITES)
def test_rewrites_that_keep_the_meaning(math500, rewrite):
    lost = [row["answer"] for row in math500 if status(REWRITES[rewrite](row["answer"]), row["answer"]) != "correct"]
    assert len(lost) <= 5, lost


@pytest.mark.mirror
@settings(max_examples=times(1_500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 499), st.lists(st.sampled_from(sorted(REWRITES)), max_size=4, unique=True))
def test_rewrites_on_rewrites_keep_the_meaning(math500, number, names):
    gold = answer = math500[number]["answer"]
    for name in sorted(names, key=list(REWRITES).index):
        answer = REWRITES[name](answer)
    assert status(answer, gold) == "correct", (answer, gold)


@pytest.mark.mirror
@settings(max_examples=times(1_500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 499), st.sampled_from(sorted(CHANGES)), st.sampled_from(sorted(REWRITES)))
def test_a_rewritten_change_is_never_equal(math500, number, change, rewrite):
    gold = math500[number]["answer"]
    answer = CHANGES[change](gold)
    if answer is not None and answer != gold:
        assert status(REWRITES[rewrite](answer), gold) != "correct", (answer, gold)


@pytest.mark.mirror
@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_meaning_are_never_equal(math500, change):
    changed = [(CHANGES[change](row["answer"]), row["answer"]) for row in math500]
    pairs = [(answer, gold) for answer, gold in changed if answer is not None and answer != gold]
    assert pairs
    assert [pair for pair in pairs if status(*pair) == "correct"] == []
