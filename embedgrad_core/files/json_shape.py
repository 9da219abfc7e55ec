"""Whether a value read from JSON has the keys and kinds that its readers rely on."""

from typing import Any

from embedgrad_core.files.item import is_number

# The key of a mapping whose keys may be anything.
ANY = "*"
COUNT = "count"  # a whole number that is not negative
ANY_LIST = "any list"  # of whatever, empty too


def misfit(value: Any, shape: Any, where: str = "") -> str | None:
    """The first key at which ``value`` has not the shape, or None.

    Args:
        value: as JSON gives it.
        shape: ``{key: shape}`` for an object that has these keys; ``{ANY: shape}`` for one with keys of any name; ``[shape]`` for
            a list that is not empty; ``list`` for a pair of numbers; ``(shape,)`` for null too; otherwise ``COUNT``,
            ``ANY_LIST``, ``int``, ``float``, ``bool``, ``str`` or ``dict``.
        where: the key of ``value`` itself.
    """
    if isinstance(shape, tuple):
        return None if value is None else misfit(value, shape[0], where)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return where or "(all)"
        wanted = dict.fromkeys(value, shape[ANY]) if ANY in shape else shape
        return _first((_name(where, key), key in value, value.get(key), inner) for key, inner in wanted.items())
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            return where or "(all)"
        return _first((_name(where, place), True, one, shape[0]) for place, one in enumerate(value))
    if shape is list:
        fits = isinstance(value, list) and len(value) == 2 and all(is_number(end) for end in value)
    elif shape == ANY_LIST:
        fits = isinstance(value, list)
    elif shape == COUNT:
        fits = isinstance(value, int) and is_number(value) and value >= 0
    elif shape is float:
        fits = is_number(value)
    elif shape is int:
        fits = isinstance(value, int) and is_number(value)
    else:
        fits = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return None if fits else where or "(all)"


def _first(parts: Any) -> str | None:
    found = (name if not there else misfit(value, shape, name) for name, there, value, shape in parts)
    return next((name for name in found if name), None)


def _name(where: str, key: Any) -> str:
    return f"{where}.{key}"[:200] if where else str(key)[:200]
