"""Whether two normalised answers say the same, kind by kind, exactly.

Policies (docs/evaluators.md): unbracketed lists and sets have no order; a missing unit is no error, another one is; a
base belongs to the value; unreduced values are equal; a decimal equals a fraction only if it is that fraction, unless
it is printed to full float precision (13 digits or more).
"""

from collections.abc import Sequence

from evaluators.boxed_math.agreement import ratio, same_value
from evaluators.boxed_math.bounds import spend
from evaluators.boxed_math.structure import depth_at, fold, read

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
    kinds = {a[0], b[0]}
    if "relation" in kinds:
        return _same_relation(a, b)
    if kinds <= {"list", "set", "group", "seq"} and "seq" not in kinds:
        return _same_members(a[1], b[1])
    if kinds == {"group", "seq"}:
        return _pairwise(a[-1], b[-1])
    if kinds == {"seq"}:
        return a[1:3] == b[1:3] and _pairwise(a[3], b[3])
    if kinds == {"list", "union"}:
        a, b = _as_union(a), _as_union(b)
        kinds = {a[0], b[0]}
    if kinds == {"union"}:
        return _same_members(a[1], b[1])
    if kinds == {"matrix"}:
        return a[1] == b[1] and len(a[2]) == len(b[2]) and all(map(_pairwise, a[2], b[2]))
    if kinds == {"base"}:
        return a[2] == b[2] and a[1].lstrip("0") == b[1].lstrip("0")
    if kinds == {"text"}:
        return a[1] == b[1]
    if kinds == {"expr"}:
        return (a[2] == b[2] or not a[2] or not b[2]) and same_value(a[1], b[1])
    # One value in braces, or a pair of equal solutions: {5} and 5.
    for many, one in ((a, b), (b, a)):
        if many[0] in ("list", "set", "group") and one[0] == "expr":
            return bool(many[1]) and all(_same(member, one) for member in many[1])
    return False


def _as_union(answer: tuple) -> tuple:
    """``x < 3 or x > 5`` as a union of intervals; anything else as it is."""
    intervals = [_interval(member) if member[0] == "relation" else None for member in answer[1]]
    return answer if answer[0] != "list" or None in intervals else ("union", intervals)


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
        if len(a[1]) == len(b[1]) == 1:
            named = [side for side in (a, b) if side[1] == ["\\in"]]
            if len(named) == 2:
                return _same(a[2][0], b[2][0]) and _same(a[2][1], b[2][1])
            if not named:
                return _same_single(a, b)
        if a[1] == b[1] and _pairwise(a[2], b[2]):
            return True
        if [_FLIPPED.get(operator) for operator in reversed(a[1])] == b[1] and _pairwise(a[2][::-1], b[2]):
            return True
        ours, theirs = _interval(a), _interval(b)
        return None not in (ours, theirs) and _same(ours, theirs)
    relation, other = (a, b) if a[0] == "relation" else (b, a)
    stated = _stated(relation)
    if stated is not None:
        return _same(stated, other) if relation is a else _same(other, stated)
    interval = _interval(relation)
    return interval is not None and _same(interval, other)


def _stated(relation: tuple) -> tuple | None:
    """What ``x = 5``, ``f(x) = 5``, ``(p, q) = (3, 2)`` or ``x \\in S`` state about their name."""
    if relation[1][-1] not in ("=", "\\in", "\\approx") or set(relation[1]) - {"=", "\\in"}:
        return None
    return relation[2][-1] if all(_is_name(side) for side in relation[2][:1]) else None


def _is_name(side: tuple) -> bool:
    if side[0] == "text":
        return True
    if side[0] == "seq":
        return all(_is_name(member) for member in side[3])
    if side[0] != "expr":
        return False
    tree = side[1]
    if tree[0] == "name":
        return tree[1] not in ("\\pi", "e", "i")
    if tree[0] == "call":
        return tree[1] in ("abs", "prime") and _is_letters(tree[2])
    return tree[0] == "mul" and len(tree[1]) == 2 and _is_letters(tree)  # f(x), AB


def _is_letters(tree: tuple) -> bool:
    if tree[0] == "mul":
        return all(_is_letters(factor) for factor in tree[1])
    return tree[0] == "name" or (tree[0] == "call" and tree[1] == "prime" and _is_letters(tree[2]))


def _interval(relation: tuple) -> tuple | None:
    """``x > 5`` as (5, ∞), ``-2 <= x < 7`` as [-2, 7); None for anything else."""
    operators, sides = relation[1], relation[2]
    if relation[1] == ["\\in"]:
        return sides[1]
    if set(operators) <= {">", "\\ge"}:
        operators, sides = [_FLIPPED[operator] for operator in reversed(operators)], sides[::-1]
    if not set(operators) <= {"<", "\\le"} or any(side[0] != "expr" for side in sides):
        return None
    infinity = ("name", "\\infty")
    if len(sides) == 3 and _is_name(sides[1]):
        low, high = sides[0], sides[2]
        brackets = ("[" if operators[0] == "\\le" else "(", "]" if operators[1] == "\\le" else ")")
    elif len(sides) == 2 and _is_name(sides[0]):
        low, high = ("expr", ("neg", infinity), ""), sides[1]
        brackets = ("(", "]" if operators[0] == "\\le" else ")")
    elif len(sides) == 2 and _is_name(sides[1]):
        low, high = sides[0], ("expr", infinity, "")
        brackets = ("[" if operators[0] == "\\le" else "(", ")")
    else:
        return None
    return ("seq", *brackets, [low, high])


def _same_single(a: tuple, b: tuple) -> bool:
    """Two relations of two sides each: the same up to a factor, which turns an inequality when it is negative."""
    if any(side[0] != "expr" for relation in (a, b) for side in relation[2]):
        return a[1] == b[1] and _pairwise(a[2], b[2])
    (first, second), factor = (a[1][0], b[1][0]), ratio(_difference(a), _difference(b))
    if factor is None:
        return False
    if first in ("=", "\\ne", "\\approx", "\\equiv", "\\cong", "\\sim"):
        return first == second
    return _FLIPPED.get(first) == second if factor < 0 else first == second


def _difference(relation: tuple) -> tuple:
    left, right = relation[2]
    return ("add", [left[1], ("neg", right[1])])
