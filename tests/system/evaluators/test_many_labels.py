"""The most labels that are taken, and the worst text for them, by the clock."""

import time

import pytest

from embedgrad.grading import Grading
from embedgrad.stored import stored_grading
from embedgrad_core.files import UserError
from evaluators import label


def pace():
    """Seconds in which this machine, as busy as it is, computes something of a fixed size."""
    started = time.process_time()
    sum(number % 7 for number in range(5_000_000))
    return time.process_time() - started


def test_as_many_labels_as_are_taken_are_told_apart_in_time():
    """The worst text for the worst labels: every place of it begins each of them."""
    alike = ["c", *("a" * 15 + f"{place:03d}" for place in range(999))]
    assert label.too_many(alike) is None
    for text in ("a" * 20_000, (alike[1] + ", ") * 950, f"{alike[-1]} or " * 900):
        for strict in (False, True):
            bound = 8 * pace()  # 2 s on a machine that counts these numbers in a quarter of a second
            started = time.process_time()
            label.grade(text, "c", labels=alike, strict=strict)
            assert time.process_time() - started < bound
    for many in ([f"label {n}" for n in range(3_000)], ["c", "a" * 20_000], ["c", *["\ufdfa" * 120] * 10]):
        assert "too many or too long" in label.too_many(many)
        with pytest.raises(UserError, match="give fewer or shorter ones"):
            Grading("label", {"labels": many})
        with pytest.raises(UserError, match=r"p\.safetensors: key 'grading' of its header: "):
            stored_grading("p.safetensors", {"grading": {"evaluator": "label", "options": {"labels": many}}})
