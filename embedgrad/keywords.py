"""Keywords of the Python functions that anyone calls: unknown ones are refused, old names go on working."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

from embedgrad_core.files import UserError


def check_names(given: Mapping[str, object], known: Iterable[str], function: str) -> None:
    """Refuse a keyword that a function does not know.

    Raises:
        UserError: there is one; names the nearest that the function knows.
    """
    known = sorted(known)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(known)}."
            raise UserError(f"{function} knows no {name!r}; {hint}")


def renamed(log: Callable[[str], None], say: Callable[[str], None] | None) -> Callable[[str], None]:
    """``log``, or what was given under its old name ``say``."""
    if say is None:
        return log
    warnings.warn("the keyword say= is called log= now", DeprecationWarning, stacklevel=3)
    return say
