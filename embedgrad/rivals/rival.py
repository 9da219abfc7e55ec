"""One method of the comparison: its name, its rates, its settings. Needs no torch, so that the workflow can plan with it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from embedgrad_core.files import UserError


@dataclass(frozen=True)
class Rival:
    """One method of the comparison.

    Attributes:
        name: as tables, folders and ``--rival`` have it.
        family: the module of this package that knows it.
        paper: who proposed it, for the tables.
        rates: learning rates of which the dev split chooses one.
        settings: what the family reads besides; every key it may hold stands here with its default.
        environment: the environment of its own that its library needs (:mod:`embedgrad.rivals.environment`), or empty.
        library: the package that it is made of, where that is no dependency of the suite, or empty.
    """

    name: str
    family: str
    paper: str
    rates: tuple[float, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: str = ""
    library: str = ""


def with_middle_rates(rival: Rival, count: int | None) -> Rival:
    """The rival with ``count`` rates from the middle of its grid; all of them where there are no more, or without a count."""
    spare = len(rival.rates) - (count or len(rival.rates))
    return rival if spare <= 0 else replace(rival, rates=rival.rates[spare // 2 :][:count])


def seeds_of(rival: Rival, seeds: Sequence[int]) -> Sequence[int]:
    """Those of ``seeds`` on which the rival is run: all, or the first alone where a seed draws and orders nothing."""
    is_seeded = rival.family != "at_test_time" or rival.settings.get("shots", 0) > 0
    return seeds if is_seeded else seeds[:1]


def goes_on_from(rival: Rival, others: Iterable[Rival]) -> Rival | None:
    """Of ``others`` the one whose every answer this one begins with: Self-Refine of fewer rounds, the most of them; or None."""
    rounds = rival.settings.get("rounds", 0)
    shorter = [one for one in others if 0 < one.settings.get("rounds", 0) < rounds]
    return max(shorter, key=lambda one: one.settings["rounds"], default=None)


@dataclass(frozen=True)
class Measure:
    """How latency is measured (:mod:`embedgrad.rivals.latency`).

    Attributes:
        repeats: how often each item is answered, after once to warm up.
        items: how many are answered.
        tokens: of every answer; 2 at least.
    """

    repeats: int = 5
    items: int = 3
    tokens: int = 32


# The least that a setting may be, and the words that it may have.
LEAST = {
    **dict.fromkeys(
        ("rank", "alpha", "reduction", "shots", "rounds", "candidates", "batch", "steps", "graded_answers"), 1
    ),
    **dict.fromkeys(("length", "projection", "hidden", "top", "drop"), 0),
}
WORDS = {
    "positions": ("one", "all"),
    "encoder": ("LSTM", "MLP"),
    "start": ("text", "random", "vocabulary", "labels"),
}


def check_settings(rival: Rival, found: Mapping[str, Any]) -> dict[str, Any]:
    """The rival's settings with those of ``found`` in their place.

    Raises:
        UserError: a setting that the rival does not have, one of another kind, or a value that it cannot have; names those it can.
    """
    for key, value in found.items():
        if key not in rival.settings:
            has = ", ".join(sorted(rival.settings)) or "none"
            raise UserError(f"rival {rival.name}: no setting {key!r}; it has {has}.")
        default = rival.settings[key]
        if type(value) is not type(default) and not (isinstance(default, float) and type(value) is int):
            raise UserError(f"rival {rival.name}: setting {key} is {value!r}; it must be a {type(default).__name__}.")
        least = 1 if key == "top" and rival.settings["positions"] == "all" else LEAST.get(key)
        if least is not None and not least <= value < math.inf:
            raise UserError(f"rival {rival.name}: setting {key} is {value!r}; it must be {least} or more.")
        words = WORDS.get(key)
        if key == "start" and rival.family == "prefixes":
            words = ("text", "random")
        if words and value not in words:
            raise UserError(f"rival {rival.name}: setting {key} is {value!r}; it must be one of {', '.join(words)}.")
    return {**rival.settings, **found}
