"""The whole text, but for surrounding space, is the answer."""

from evaluators.verdict import Verdict, too_long


def grade(text: str, gold: str) -> Verdict:
    """Correct when ``text`` equals ``gold`` after stripping space at both ends."""
    if long := too_long(text):
        return long
    answer = text.strip()
    if not answer:
        return Verdict("no_answer", None, "empty")
    return Verdict("correct" if answer == gold.strip() else "wrong", answer, "whole text compared")
