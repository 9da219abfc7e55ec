"""The Yes or No an answer states.

Example::

    >>> grade("No, a typical person would say **yes**.", "Yes").status
    'correct'

An echo of the choice ('"Yes" or "No"') is no answer, "no" as in "no reason" is no statement, and a text that says both in
one breath ("Yes and no") states neither.
"""

import re
import time

from evaluators.stated import stated
from evaluators.verdict import Verdict, too_long

CUES = re.compile(
    r"\b(?:(?:final |correct |most likely |likely |best |my )?(?:answer|response|conclusion|verdict)"
    r"(?:\s+(?:to (?:the|this) question|here|of a typical person))?\s*(?:is|would be|should be|must be|:|=|-)"
    r"|(?:typical|average|ordinary|most|reasonable) (?:person|people|individual)s?\s+(?:would|will|might)\s+"
    r"(?:likely |probably |most likely |generally |typically )?(?:say|answer|respond|conclude|reply)s?(?: with| that)?:?"
    r"|(?:i|we) (?:would )?(?:answer|say|conclude):?)"
)


def grade(text: str, gold: str, *, strict: bool = False) -> Verdict:
    """Compare the stated Yes or No with ``gold``; ``strict``: the text must be, or end with, it."""
    if long := too_long(text):
        return long
    started = time.perf_counter()
    found = stated(text, {"yes": "Yes", "no": "No"}, CUES, strict)
    status = "no_answer" if found is None else "correct" if found == gold else "wrong"
    reason = "neither Yes nor No stated" if found is None else "the Yes or No stated"
    return Verdict(status, found, reason, time.perf_counter() - started)
