"""Whether two normalised answers say the same, kind by kind, exactly.

Policies (docs/evaluators.md): unbracketed lists and sets have no order; a missing unit is not an error, another one is; a
base belongs to the value; unreduced values are equal; a decimal equals a fraction only if it is that fraction, unless
it is printed to full float precision (13 digits or more).
"""

import re
from collections.abc import Sequence

from evaluators.boxed_math.bounds import spend
from evaluators.boxed_math.comparison import sets
from evaluators.boxed_math.comparison.agreement import near, ratio, same_value
from evaluators.boxed_math.comparison.relations import assignments, interval, is_name
from evaluators.boxed_math.comparison.value import names
from evaluators.boxed_math.parsing.brackets import depth_at
from evaluators.boxed_math.parsing.structure import fold, read
from evaluators.boxed_math.parsing.units import AM_PM, same_unit

_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "=": "=", "\\ne": "\\ne"}


def equal(ours: str, gold: str) -> bool:
    """Whether two normalised answers are the same.

    Raises:
        OutOfBounds: more than is compared.
    """
    if fold(ours) == fold(gold) and fold(ours).isalpha():
        return True
    depth_at(ours)
    depth_at(gold)
    return _same(read(ours), read(gold))


def _same(a: tuple, b: tuple) -> bool:
    spend(5)
    for one, other in ((a, b), (b, a)):
        if one[0] == "either":
            return _same(one[1], other) or ((not one[3] or _unit(other) == one[2][-1]) and _same(one[2], other))
    kinds = {a[0], b[0]}
    if _structurally(a, b, kinds):
        return True
    if kinds & sets.KINDS:
        return sets.same(a, b)
    return False


def _unit(answer: tuple) -> tuple:
    return answer[2] if answer[0] == "expr" else _unit(answer[2]) if answer[0] == "either" else ()


def _structurally(a: tuple, b: tuple, kinds: set[str]) -> bool:
    if "choice" in kinds:
        return _same_choice(a, b)
    if (
        kinds == {"list"}
        and a[2] != b[2]
        and any(member[0] == "relation" and member[1] != ["="] for member in a[1] + b[1])
    ):
        return False  # "and" and "or" of the same inequalities; as sets they may yet agree
    if "relation" in kinds or kinds == {"list"}:
        ours, theirs = assignments(a), assignments(b)
        if ours and theirs:
            return ours.keys() == theirs.keys() and all(_same(ours[name], theirs[name]) for name in ours)
    if "relation" in kinds:
        return _same_relation(a, b)
    if kinds <= {"list", "set", "group"} or kinds == {"union"}:
        return _same_members(a[1], b[1])
    if kinds == {"group", "seq"}:
        return _pairwise(a[-1], b[-1])
    if kinds == {"seq"}:
        return a[1:3] == b[1:3] and _pairwise(a[3], b[3])
    if kinds == {"list", "seq"}:
        return _same_point(a, b)
    if kinds in ({"meet"}, {"minus"}):
        return _pairwise(a[1], b[1])
    if kinds == {"builder"}:
        return a[1] == b[1] and (a[2] == b[2] or (None not in (a[2], b[2]) and _same(a[2], b[2]))) and _same(a[3], b[3])
    if kinds == {"matrix"}:
        return a[1] == b[1] and len(a[2]) == len(b[2]) and all(map(_pairwise, a[2], b[2]))
    if kinds == {"base"}:
        return a[2] == b[2] and a[1].lstrip("0") == b[1].lstrip("0")
    if kinds in ({"text"}, {"numbers"}):
        return a[1] == b[1]
    if kinds == {"numbers", "expr"}:  # R for ℝ
        return ("name", a[1]) == b[1] or ("name", b[1]) == a[1]
    if kinds == {"ratio"} or kinds == {"ratio", "expr"}:
        return _same_ratio(a, b)
    if kinds == {"expr"}:
        return same_unit(a[2], b[2]) and same_value(a[1], b[1])
    # One value in braces, or a pair of equal solutions: {5} and 5.
    for many, one in ((a, b), (b, a)):
        if many[0] in ("list", "set", "group") and one[0] == "expr":
            return bool(many[1]) and all(_same(member, one) for member in many[1])
    return False


def _same_choice(a: tuple, b: tuple) -> bool:
    if a[0] == b[0]:
        return a[1] == b[1] and _same(a[2], b[2])
    labelled, other = (a, b) if a[0] == "choice" else (b, a)
    letter = other[1] if other[0] == "text" else other[1][1] if other[0] == "expr" and other[1][0] == "name" else ""
    return labelled[1] == letter.casefold() or _same(labelled[2], other)


def _same_point(a: tuple, b: tuple) -> bool:
    """``x = 1, y = 2`` and (1, 2), the names in the order of the alphabet."""
    named, point = (a, b) if a[0] == "list" else (b, a)
    values = assignments(named)
    if not values or point[1:3] != ("(", ")"):
        return False
    return _pairwise([values[name] for name in sorted(values)], point[3])


def _same_ratio(a: tuple, b: tuple) -> bool:
    """Equal up to a common factor; 2:9 is also the number 2/9. A time of day is not a ratio."""
    if a[0] != b[0]:
        ratio_, number = (a, b) if a[0] == "ratio" else (b, a)
        if len(ratio_[1]) != 2 or _is_time(ratio_) or any(part[0] != "expr" for part in ratio_[1]):
            return False
        return not number[2] and same_value(("div", ratio_[1][0][1], ratio_[1][1][1]), number[1])
    ours, theirs = a[1], b[1]
    if len(ours) != len(theirs):
        return False
    zero = any(part[0] != "expr" or part[1][:2] == ("num", 0) for part in ours + theirs)
    if zero or _is_time(a) or _is_time(b):
        return _pairwise(ours, theirs)
    return all(
        same_unit(one[2], other[2]) and same_value(("mul", [ours[0][1], other[1]]), ("mul", [theirs[0][1], one[1]]))
        for one, other in zip(ours, theirs, strict=True)
    )


def _is_time(ratio_: tuple) -> bool:
    last = ratio_[1][-1]
    return bool(re.match(r"0\d", ratio_[2][-1])) or (last[0] == "expr" and last[2] in AM_PM)


def _pairwise(first: Sequence[tuple], second: Sequence[tuple]) -> bool:
    return len(first) == len(second) and all(map(_same, first, second))


def _same_members(first: Sequence[tuple], second: Sequence[tuple]) -> bool:
    """Equal as multisets; an answer may name a solution twice where the gold ones are all different."""
    first, left = _spread(first), list(_spread(second))
    if len(first) > len(left) and len(_distinct(left)) == len(left):
        first = _distinct(first)
    if len(first) != len(left):
        return False
    for member in first:
        match = next((place for place, other in enumerate(left) if _same(member, other)), None)
        if match is None:
            return False
        del left[match]
    return True


def _distinct(members: Sequence[tuple]) -> list[tuple]:
    kept: list[tuple] = []
    for member in members:
        if not any(_same(member, other) for other in kept):
            kept.append(member)
    return kept


def _spread(members: Sequence[tuple]) -> list[tuple]:
    """A member that is itself two values (±) counts as both."""
    return [one for member in members for one in (_spread(member[1]) if member[0] == "list" else [member])]


def _same_relation(a: tuple, b: tuple) -> bool:
    if a[0] == b[0]:
        if a[1] == b[1] == ["\\in"]:
            return _same(a[2][0], b[2][0]) and _same(a[2][1], b[2][1])
        if len(a[1]) == len(b[1]) == 1 and ["\\in"] not in (a[1], b[1]):
            return _same_single(a, b)
        if a[1] == b[1] and _pairwise(a[2], b[2]):
            return True
        if [_FLIPPED.get(operator) for operator in reversed(a[1])] == b[1] and _pairwise(a[2][::-1], b[2]):
            return True
        between, beyond = interval(a), interval(b)
        if between is not None and beyond is not None and _same(between, beyond):
            return True
        (first, ours), (second, theirs) = _stated(a), _stated(b)
        if first is not None and second is not None and not _same(first, second):
            return False
        return any(_same(one, other) for one in ours for other in theirs)
    relation, other = (a, b) if a[0] == "relation" else (b, a)
    _, values = _stated(relation)
    if values:
        return any(_same(value, other) for value in values)
    between = interval(relation)
    return between is not None and _same(between, other)


def _stated(relation: tuple) -> tuple[tuple | None, list[tuple]]:
    """The name, and the values that a chain states: ``x = 3/4 = 0.75``, ``(p, q) = (3, 2)``, ``x ∈ S``, ``7/9 ≈ 0.78``.

    All constants of it have to agree, the approximate ones within their last digit; without a name in front all sides have to.
    """
    operators, sides = relation[1], relation[2]
    if set(operators) - {"=", "\\in", "\\approx"}:
        return None, []
    name = sides[0] if is_name(sides[0]) else None
    if name is not None:
        operators, sides = operators[1:], sides[1:]
        operators = ["=", *operators]
        last = sides[-1]
        constants = [pair for pair in zip(operators, sides, strict=True) if _is_constant(pair[1])]
        if len(sides) == 1 or not _is_constant(last):
            return name, [last]
    else:
        constants = list(zip(["=", *operators], sides, strict=True))
    first = constants[0][1]
    for operator, side in constants[1:]:
        if not (_near(first, side) if operator == "\\approx" else _converted(first, side) or _same(first, side)):
            return name, []
    return name, [side for _, side in constants]


def _is_constant(side: tuple) -> bool:
    return side[0] == "expr" and not names(side[1])


def _converted(first: tuple, second: tuple) -> bool:
    """Whether two amounts are in different units, as in 1 m = 100 cm or 0.5 = 50 %: what they state is not ours to work out."""
    return first[0] == second[0] == "expr" and first[2] != second[2]


def _near(exact: tuple, printed: tuple) -> bool:
    return exact[0] == printed[0] == "expr" and near(exact[1], printed[1])


def _same_single(a: tuple, b: tuple) -> bool:
    """Two relations of two sides each: the same up to a factor, which turns an inequality when it is negative."""
    a, b = ((*relation[:2], [_expr(side) for side in relation[2]]) for relation in (a, b))
    (first, second) = (a[1][0], b[1][0])
    if any(side[0] != "expr" for relation in (a, b) for side in relation[2]):
        if first == second and _pairwise(a[2], b[2]):
            return True
        return first == _FLIPPED.get(second) and _pairwise(a[2], b[2][::-1])
    factor = ratio(_difference(a), _difference(b))
    if factor is None:
        # Constants only, 3/4 = 0.75: both sides of the difference are nothing.
        return first == second == "=" and not any(names(side[1]) for side in a[2] + b[2]) and _same_constants(a, b)
    if first in ("=", "\\ne", "\\approx", "\\equiv", "\\cong", "\\sim"):
        return first == second
    return _FLIPPED.get(first) == second if factor < 0 else first == second


def _same_constants(a: tuple, b: tuple) -> bool:
    (_, ours), (_, theirs) = _stated(a), _stated(b)
    return any(_same(one, other) for one in ours for other in theirs)


def _expr(side: tuple) -> tuple:
    """The reading of a side as an expression, where there is one."""
    return next((reading for reading in side[1:3] if reading[0] == "expr"), side) if side[0] == "either" else side


def _difference(relation: tuple) -> tuple:
    left, right = relation[2]
    return ("add", [left[1], ("neg", right[1])])
