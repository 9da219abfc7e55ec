r"""The last ``\boxed{…}`` of an answer against the gold answer, by value and exactly.

Example::

    >>> grade(r"… so the answer is \boxed{\dfrac{1}{2}}.", "0.5").status
    'correct'
    >>> grade(r"\boxed{(2, 1)}", "(1, 2)").status
    'wrong'

The stages, one file each:

* ``extract``: the last balanced, non-empty box (or the first: a reading for protocol recovery), by a linear scan of the braces;
* ``characters`` and ``normalise``: one spelling for what means the same (Hendrycks et al.'s list, widened:
  https://github.com/hendrycks/math/blob/main/modeling/math_equivalence.py); equal strings are equal;
* ``structure``, with ``brackets``, ``forms`` and ``units``: what kind of answer it is: number in a base, tuple, interval, set,
  list, matrix, relation, ratio, text, expression with its unit;
* ``expression`` and ``tokens``: a small LaTeX grammar; nothing is ever handed to an evaluator of code;
* ``value``: exact rationals where possible, else 60 digits, within fixed bounds of size;
* ``agreement``: expressions with variables are equal when they agree at random points (polynomial identity testing) wherever
  both are real, so no symbolic simplifier with an open-ended running time is needed;
* ``compare``, with ``relations`` and ``sets``: two answers of the same kind, part by part; sets of real numbers however written;
* ``bounds``: how much work one comparison may take, counted step by step.

What lies beyond the bounds is ``undecided``, never ``wrong``; its reason begins with "out of bounds".
"""

import time

from evaluators.boxed_math.bounds import OutOfBounds, limited
from evaluators.boxed_math.comparison.compare import equal
from evaluators.boxed_math.parsing.extract import FIRST, LAST, extract
from evaluators.boxed_math.parsing.normalise import normalise
from evaluators.verdict import Verdict, out_of_bounds, too_long

LONGEST = 2_000  # characters of a box or a gold answer that is still compared

__all__ = ["FIRST", "LAST", "extract", "grade"]


def grade(text: str, gold: str, *, box: str = LAST) -> Verdict:
    """The verdict on the last ``box`` of ``text``, or the first; never raises, never executes what it reads."""
    if long := too_long(text):
        return long
    started = time.perf_counter()
    answer = extract(text, box)
    if answer is None:
        return Verdict("no_answer", None, "no balanced, non-empty box", time.perf_counter() - started)
    try:
        with limited():
            status, reason = _compare(answer, gold)
    except OutOfBounds as bound:
        return out_of_bounds(str(bound), answer[:LONGEST], time.perf_counter() - started)
    except RecursionError:
        return out_of_bounds("nested too deeply", answer, time.perf_counter() - started)
    # An evaluator must not end a run of hours over one text; undecided is counted apart, and the reason is stored.
    except Exception as fault:  # noqa: BLE001
        status, reason = "undecided", f"the checker failed: {type(fault).__name__}: {fault}"[:200]
    return Verdict(status, answer, reason, time.perf_counter() - started)


def _compare(answer: str, gold: str) -> tuple[str, str]:
    for side, text in (("box", answer), ("gold answer", gold)):
        if len(text) > LONGEST:
            raise OutOfBounds(f"the {side} is too long to compare")
    ours, theirs = normalise(answer), normalise(gold)
    if not ours:
        return "no_answer", "the box holds nothing but form"
    if ours == theirs:
        return "correct", "equal after normalisation"
    return ("correct", "equal by value") if equal(ours, theirs) else ("wrong", "different")
