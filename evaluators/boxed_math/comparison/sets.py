r"""Sets of real numbers, however they are written: intervals, inequalities, set-builders, ℝ, and what ∪, ∩ and ∖ make of them.

A set is a list of pieces that neither touch nor overlap, in order. A piece runs from one cut to another; a cut is a place just
before (0) or just after (1) a number: [1, 3) is the piece from (1, 0) to (3, 0), and {2} the one from (2, 0) to (2, 1). So
``[1,2] \cup [2,3]`` comes out as ``[1,3]``, and ``x > 3, x < 5`` as (3, 5).
"""

from functools import cmp_to_key

from evaluators.boxed_math.bounds import spend
from evaluators.boxed_math.comparison.agreement import Number, less, real_value
from evaluators.boxed_math.comparison.relations import INFINITY, interval, is_name

KINDS = frozenset(["union", "meet", "minus", "numbers", "builder", "relation", "list"])
Cut = tuple[Number | None, int]
_LOWEST: Cut = (None, -1)  # cuts beyond all numbers
_HIGHEST: Cut = (None, 2)
Pieces = list[tuple[Cut, Cut]]
_ALL: Pieces = [(_LOWEST, _HIGHEST)]


class _NoSet(Exception):
    """Not a set of real numbers with constant ends."""


def same(a: tuple, b: tuple) -> bool:
    """Whether both answers are sets of real numbers, and the same one; two names have to be one name."""
    try:
        (first, ours), (second, theirs) = _named(a), _named(b)
    except _NoSet:
        return False
    if first and second and first != second:
        return False
    return len(ours) == len(theirs) and all(
        _order(one, other) == 0 for pair in zip(ours, theirs, strict=True) for one, other in zip(*pair, strict=True)
    )


def _named(answer: tuple) -> tuple[str | None, Pieces]:
    spend(20)
    kind = answer[0]
    if kind == "relation":
        return _relation(answer)
    if kind == "list":
        return _joined(answer)
    if kind == "builder":
        _, name, domain, condition = answer
        inner, pieces = _named(condition)
        if inner != name:
            raise _NoSet
        return None, _meet(pieces, _named(domain)[1]) if domain else pieces
    if kind in ("union", "meet", "minus"):
        parts = [_named(part)[1] for part in answer[1]]
        total = parts[0]
        for part in parts[1:]:
            total = _union(total, part) if kind == "union" else _meet(total, part if kind == "meet" else _without(part))
        return None, total
    if answer[:2] in (("numbers", "R"), ("expr", ("name", "R"))):
        return None, _ALL
    if kind in ("set", "group"):
        return None, _points(answer[1])
    if kind == "seq" and len(answer[3]) == 2:
        return None, _between(*answer[1:])
    raise _NoSet


def _joined(answer: tuple) -> tuple[str | None, Pieces]:
    if answer[2] not in ("and", "or", ",") or any(member[0] not in ("relation", "seq") for member in answer[1]):
        raise _NoSet
    relations = all(member[0] == "relation" for member in answer[1])
    if not relations and answer[2] != "or":
        raise _NoSet  # a list of points
    found = [_named(member) for member in answer[1]]
    if len({name for name, _ in found}) > 1:
        raise _NoSet
    both, either = found[0][1], found[0][1]
    for _, pieces in found[1:]:
        both, either = _meet(both, pieces), _union(either, pieces)
    # "x < 3, x > 5" can only be meant as two cases.
    return found[0][0], either if answer[2] == "or" or (answer[2] == "," and not both) else both


def _relation(answer: tuple) -> tuple[str | None, Pieces]:
    operators, sides = answer[1], answer[2]
    if operators == ["\\in"]:
        return _name(sides[0]), _named(sides[1])[1]
    if len(operators) == 1 and operators[0] in ("=", "\\ne"):
        name, other = sides if is_name(sides[0]) else sides[::-1]
        point = _points(other[1] if other[0] in ("list", "set", "group") else [other])
        return _name(name), point if operators == ["="] else _without(point)
    if len(operators) == 1 and (found := _within_bars(operators[0], *sides)):
        return found
    between = interval(answer)
    if between is None:
        raise _NoSet
    middle = sides[1] if len(sides) == 3 or not is_name(sides[0]) else sides[0]
    return _name(middle), _between(*between[1:])


def _within_bars(operator: str, left: tuple, right: tuple) -> tuple[str, Pieces] | None:
    """``|x| < 3`` and ``|x| > 3``."""
    if left[0] != "expr" or left[1][:2] != ("call", "abs") or left[1][2][0] != "name" or right[0] != "expr":
        return None
    bound = right[1]
    inside = _between("[" if operator in ("\\le", ">") else "(", "]" if operator in ("\\le", ">") else ")",
                      [("expr", ("neg", bound), ()), ("expr", bound, ())])  # fmt: skip
    return left[1][2][1], inside if operator in ("<", "\\le") else _without(inside)


def _name(side: tuple) -> str:
    if side[0] != "expr" or side[1][0] != "name":
        raise _NoSet
    return side[1][1]


def _number(answer: tuple) -> Number:
    number = real_value(answer[1]) if answer[0] == "expr" else None
    if number is None:
        raise _NoSet
    return number


def _points(answers: list[tuple]) -> Pieces:
    pieces: Pieces = []
    for answer in answers:
        number = _number(answer)
        pieces = _union(pieces, [((number, 0), (number, 1))])
    return pieces


def _between(opening: str, ending: str, ends: list[tuple]) -> Pieces:
    low, high = (end[1] if end[0] == "expr" else None for end in ends)
    first = _LOWEST if low == ("neg", INFINITY) else (_number(ends[0]), int(opening == "("))
    last = _HIGHEST if high == INFINITY else (_number(ends[1]), int(ending == "]"))
    if _order(first, last) >= 0:
        raise _NoSet  # (3, 2) is a point
    return [(first, last)]


def _order(a: Cut, b: Cut) -> int:
    spend(5)
    if a[0] is None or b[0] is None:
        return (a[1] if a[0] is None else 0.5) > (b[1] if b[0] is None else 0.5) or -(a != b)
    if less(a[0], b[0]):
        return -1
    return 1 if less(b[0], a[0]) else a[1] - b[1]


def _union(a: Pieces, b: Pieces) -> Pieces:
    merged: Pieces = []
    in_order = cmp_to_key(_order)
    for start, end in sorted(a + b, key=lambda piece: in_order(piece[0])):
        if merged and _order(start, merged[-1][1]) <= 0:
            if _order(end, merged[-1][1]) > 0:
                merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def _meet(a: Pieces, b: Pieces) -> Pieces:
    pieces = []
    for low, high in a:
        for start, end in b:
            first = start if _order(start, low) > 0 else low
            last = end if _order(end, high) < 0 else high
            if _order(first, last) < 0:
                pieces.append((first, last))
    return pieces


def _without(pieces: Pieces) -> Pieces:
    """All real numbers but these."""
    gaps, start = [], _LOWEST
    for low, high in pieces:
        if _order(start, low) < 0:
            gaps.append((start, low))
        start = high
    if _order(start, _HIGHEST) < 0:
        gaps.append((start, _HIGHEST))
    return gaps
