r"""The value that a row of maths states: a bare answer, the last box of a solution, or what follows ``####`` (GSM8K)."""

import re

from embedgrad_core.files import UserError
from evaluators.boxed_math import extract

_MARK = re.compile(r"\n?[ \t]*####[ \t]*(?P<value>[^\n]+?)[ \t]*\s*\Z")
# A gold answer of this many words is prose: no box of a model could ever equal it.
_WORDS = 8


def kind_of_solution(answer: str) -> str | None:
    """What a solution's value is recognised by, in words; None for a bare answer."""
    if extract(answer) is not None:
        return "the last box"
    return "what stands behind ####" if _MARK.search(answer) else None


def value_and_solution(answer: str, where: str) -> tuple[str, str]:
    r"""The gold value, and the text to train on: it ends in a box, since only a box is read.

    Raises:
        UserError: a text without a box or a mark that no value can be compared with.
    """
    if (boxed := extract(answer)) is not None:
        return boxed.strip(), answer
    if mark := _MARK.search(answer):
        value = mark["value"].replace(",", "") if re.fullmatch(r"-?[\d,.]+", mark["value"]) else mark["value"]
        # GSM8K's marks of its calculator are not words that a model should learn to write.
        before = re.sub(r"<<[^<>\n]*>>", "", answer[: mark.start()]).rstrip()
        return value, f"{before}\nThe answer is \\boxed{{{value}}}." if before else f"\\boxed{{{value}}}"
    words = re.findall(r"[^\W\d_]{2,}", re.sub(r"\\[a-zA-Z]+", " ", answer))
    if len(words) >= _WORDS:
        raise UserError(
            f"{where}: the answer {answer[:60]!r} is a text without \\boxed{{…}} and without '####': there is no value to compare "
            "with; name a column that holds the value (--answer-column)."
        )
    return answer, f"\\boxed{{{answer}}}"
