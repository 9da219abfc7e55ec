"""Brackets of a normalised text: depth, partner, and what stands between separators outside of them."""

import re

from evaluators.boxed_math.bounds import DEEPEST, OutOfBounds

_OPEN, _CLOSE = "([{", ")]}"
# ]1, 3[ is how half the world writes (1, 3). Such an interval stands alone, or after an operator of sets.
_TURNED = re.compile(
    r"(^|\\(?:cup|cap|in|setminus)(?![A-Za-z])|=|\bor\b|[({])\s*([\[\]])([^\[\](){}]*[,;][^\[\](){}]*)([\[\]])"
)


def depth_at(text: str) -> int:
    """How many brackets of any kind are open at the end of ``text``; intervals may close with the other kind.

    Raises:
        OutOfBounds: they are nested too deeply.
    """
    depth = 0
    for character in text:
        depth += character in _OPEN
        depth -= character in _CLOSE
        if depth > DEEPEST:
            raise OutOfBounds("nested too deeply")
    return depth


def closing(text: str, start: int) -> int:
    """The place of the bracket that closes the one at ``start``, or -1."""
    depth = 0
    for place in range(start, len(text)):
        depth += text[place] in _OPEN
        depth -= text[place] in _CLOSE
        if depth == 0:
            return place
    return -1


def split(text: str, separator: str) -> list[str]:
    """The parts between separators that stand outside of all brackets; a command is not part of a longer one."""
    if separator not in text:
        return [text]
    parts, depth, start, place = [], 0, 0, 0
    while place < len(text):
        depth += text[place] in _OPEN
        depth -= text[place] in _CLOSE
        if depth == 0 and text.startswith(separator, place):
            parts.append(text[start:place])
            place += len(separator)
            start = place
            continue
        place += 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()] or [text]


def turned(text: str) -> str:
    """Intervals with brackets turned outwards in the common spelling."""
    if "[" not in text and "]" not in text:
        return text

    def common(match: re.Match) -> str:
        before, opening, inside, closing_one = match.groups()
        return f"{before}{'[(]'[opening == ']']}{inside}{'])'[closing_one == '[']}"

    return _TURNED.sub(common, text)
