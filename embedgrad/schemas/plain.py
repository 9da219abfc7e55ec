"""What YAML may hold beyond a configuration's plain values, refused before the schema sees it.

YAML knows dates, sets, keys that are not text, NaN, and aliases that unfold a small file into billions of values.
"""

import math
import re
from collections.abc import Iterable, Mapping

from embedgrad_core.files import UserError

DEEPEST = 20
MOST = 50_000  # values
LARGEST = 2**63  # what numbers must stay below: seeds and sizes are 64-bit


def check_plain(values: object, source: str) -> None:
    """Check that a configuration is a mapping of text to plain values, all the way down.

    Raises:
        UserError: it is not; names the key.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{source}: expected keys and values at top level, found {type(values).__name__}.")
    seen = 0
    waiting: list[tuple[object, tuple[str, ...]]] = [(values, ())]
    while waiting:
        value, path = waiting.pop()
        seen += 1
        where = ".".join(path)[:200] or "top level"
        if seen > MOST or len(path) > DEEPEST:
            raise UserError(f"{source}: {where}: too many values in one another; aliases may unfold without end.")
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise UserError(f"{source}: {where}: key {str(key)[:60]!r} must be text; put it in quotes.")
                waiting.append((inner, (*path, key)))
        elif isinstance(value, list):
            waiting += [(inner, (*path, str(place))) for place, inner in enumerate(value)]
        elif isinstance(value, bool | str | None):
            _check_text(value, where, source)
        elif not isinstance(value, int | float):
            raise UserError(
                f"{source}: {where}: must be text or a number, found {type(value).__name__}; put it in quotes."
            )
        elif not math.isfinite(value) if isinstance(value, float) else abs(value) >= LARGEST:
            raise UserError(f"{source}: {where}: not a number that can be used.")


def _check_text(value: object, where: str, source: str) -> None:
    """Flags and file names carry no NUL and no half of a surrogate pair."""
    if isinstance(value, str) and ("\0" in value or any("\ud800" <= one <= "\udfff" for one in value)):
        raise UserError(f"{source}: {where}: holds a character that no command line can carry; take it out.")
    if value == "--":  # argparse drops it wherever it stands
        raise UserError(f"{source}: {where}: '--' alone is nothing that a command line can carry; write more or less.")


def check_seed_words(words: Iterable[str]) -> None:
    """Refuse seeds of a command line that Snakemake would read as another number: its ``0_1`` is 1.

    Raises:
        UserError: names the word.
    """
    for word in words:
        name, given, value = word.partition("=")
        if name == "seeds" and given and re.search(r"[^\d,\s\[\]'\"]", value):
            raise UserError(f"{word}: write seeds as whole numbers with commas between, as in seeds=0,1,2.")


def whole_numbers(seeds: object, source: str) -> object:
    """Seeds as the command line gives them ("0,1,2" or ["0", "1"]) turned into numbers; anything else as it is.

    Raises:
        UserError: a seed of thousands of digits.
    """
    if isinstance(seeds, (str, int)):
        seeds = [seed.strip() for seed in str(seeds).split(",")]
    if not isinstance(seeds, list):
        return seeds
    try:
        return [int(seed) if isinstance(seed, str) and seed.isdecimal() else seed for seed in seeds]
    except ValueError:  # Python reads no number of thousands of digits
        raise UserError(f"{source}: seeds: a seed has too many digits.") from None
