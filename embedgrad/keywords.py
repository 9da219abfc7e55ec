"""Keywords of the Python functions that anyone calls: unknown ones are refused."""

from collections.abc import Iterable, Mapping
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
