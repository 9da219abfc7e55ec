r"""What a relation says of its name: an interval, values, or that it is a name at all."""

_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
INFINITY = ("name", "\\infty")


def is_name(side: tuple) -> bool:
    r"""Whether a side only names what the other states: ``x``, ``AB``, ``f(x)``, ``f^{-1}(x)``, ``|AB|``, ``\frac{dy}{dx}``."""
    if side[0] == "text":
        return True
    if side[0] == "either":
        return is_name(side[1]) or is_name(side[2])
    if side[0] == "seq":
        return all(is_name(member) for member in side[3])
    if side[0] != "expr" or side[2]:
        return False
    tree = side[1]
    if tree[0] == "name":
        return tree[1] not in ("\\pi", "e", "i", "\\infty")
    if tree[0] == "call":
        return tree[1] in ("abs", "prime") and _is_letters(tree[2])
    if tree[0] == "div":
        return all(_is_differential(part) for part in tree[1:])
    if tree[0] != "mul" or len(tree[1]) != 2:
        return False
    function, argument = tree[1]
    if function[0] == "pow" and function[1][0] == "name" and function[2] == ("neg", ("num", 1, 0)):
        function = function[1]
    return _is_letters(function) and (_is_letters(argument) or (function[0] == "name" and argument[0] == "num"))


def _is_letters(tree: tuple) -> bool:
    if tree[0] == "mul":
        return all(_is_letters(factor) for factor in tree[1])
    return tree[0] == "name" or (tree[0] == "call" and tree[1] == "prime" and _is_letters(tree[2]))


def _is_differential(tree: tuple) -> bool:
    return tree == ("name", "d") or (
        tree[0] == "mul" and len(tree[1]) == 2 and tree[1][0] == ("name", "d") and _is_letters(tree)
    )


def interval(relation: tuple) -> tuple | None:
    """``x > 5`` as (5, ∞), ``-2 <= x < 7`` as [-2, 7); None for anything else."""
    operators, sides = relation[1], relation[2]
    if relation[1] == ["\\in"]:
        return sides[1]
    if set(operators) <= {">", "\\ge"}:
        operators, sides = [_FLIPPED[operator] for operator in reversed(operators)], sides[::-1]
    if not set(operators) <= {"<", "\\le"} or any(side[0] != "expr" for side in sides):
        return None
    if len(sides) == 3 and is_name(sides[1]):
        low, high = sides[0], sides[2]
        brackets = ("[" if operators[0] == "\\le" else "(", "]" if operators[1] == "\\le" else ")")
    elif len(sides) == 2 and is_name(sides[0]):
        low, high = ("expr", ("neg", INFINITY), ()), sides[1]
        brackets = ("(", "]" if operators[0] == "\\le" else ")")
    elif len(sides) == 2 and is_name(sides[1]):
        low, high = sides[0], ("expr", INFINITY, ())
        brackets = ("[" if operators[0] == "\\le" else "(", ")")
    else:
        return None
    return ("seq", *brackets, [low, high])


def assignments(answer: tuple) -> dict[str, tuple] | None:
    """Two or more names and their values, ``x = 1, y = 2`` or ``(x, y) = (1, 2)``; None for anything else."""
    if answer[0] == "list" and answer[2] in (",", "and"):
        if any(member[0] != "relation" or member[1] != ["="] for member in answer[1]):
            return None
        pairs = [tuple(member[2]) for member in answer[1]]
    elif answer[0] == "relation" and answer[1] == ["="] and all(side[0] == "seq" for side in answer[2]):
        left, right = answer[2]
        if left[1:3] != right[1:3] or len(left[3]) != len(right[3]):
            return None
        pairs = list(zip(left[3], right[3], strict=True))
    else:
        return None
    if any(name[0] != "expr" or name[1][0] != "name" for name, _ in pairs):
        return None
    found = {name[1][1]: value for name, value in pairs}
    return found if len(found) == len(pairs) > 1 else None
