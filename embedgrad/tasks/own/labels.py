"""What data of one's own may call each label."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from embedgrad_core.files import UserError

_NUMBERED = re.compile(r"\s*([+-]?\d+)\s*=\s*(.+)", re.DOTALL)


@dataclass(frozen=True)
class Labels:
    """The classes, and which number of the data stands for which.

    Attributes:
        names: the classes, in the order given.
        numbers: number as text → class; empty where none was given.
    """

    names: tuple[str, ...]
    numbers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, given: "Labels | Mapping[int | str, str] | Sequence[str]") -> "Labels":
        """From names, from ``{0: "negative", 1: "positive"}``, or from ``["0=negative", "1=positive"]``.

        Raises:
            UserError: text in place of a list, fewer than two labels, an empty one, two that differ in case alone, or one number
                for two of them.
        """
        if isinstance(given, Labels):
            return given
        if isinstance(given, Mapping):
            pairs = [(str(number).strip(), name) for number, name in given.items()]
        elif isinstance(given, str) or not all(isinstance(label, str) for label in given):
            raise UserError(f"labels is {given!r}; give a list of texts, like ['good', 'bad'].")
        else:
            found = [match for label in given if (match := _NUMBERED.fullmatch(label))]
            if not given or len(found) < len(given):
                return cls(_checked(given))
            pairs = [(str(int(match[1])), match[2].strip()) for match in found]
        if not all(isinstance(name, str) for _, name in pairs):
            raise UserError(f"labels is {given!r}; give each number a text, like {{0: 'bad', 1: 'good'}}.")
        numbers = dict(pairs)
        if len(numbers) < len(pairs):
            raise UserError(f"labels {', '.join('='.join(pair) for pair in pairs)}: one number stands for two labels.")
        return cls(_checked(list(numbers.values())), numbers)

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return {_folded(name): name for name in self.names}

    def find(self, value: str, where: str) -> str:
        """The class that data call ``value``: its own name in any case, or its number where one was given.

        Raises:
            UserError: it is none of them, or a number where the labels are words and no numbers were given.
        """
        key = value.strip()
        number = _whole(key)
        found = self._by_name.get(_folded(key))
        if number is not None:
            found = found or self._by_name.get(number) or self.numbers.get(number)
        if found:
            return found
        if number is not None and not self.numbers and not any(map(_is_number, self._by_name)):
            example = ",".join(f"{place}={name}" for place, name in enumerate(self.names))
            raise UserError(
                f"{where}: label {key!r} is a number and the labels are words; say which is which, as in --labels {example} "
                f"or --labels {','.join(f'{place}={name}' for place, name in enumerate(reversed(self.names)))}."
            )
        raise UserError(f"{where}: label {key[:60]!r} is not among {', '.join(self.names)}; fix the row or --labels.")


def _folded(text: str) -> str:
    """A label as it is compared: without case, and "ü" in one character or two alike."""
    return unicodedata.normalize("NFC", text.strip()).casefold()


def _checked(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, none empty and no two the same but for their case."""
    names: dict[str, str] = {}
    for label in labels:
        key = _folded(label)
        if not key:
            raise UserError(f"labels {', '.join(map(repr, labels))}: one of them is empty; write at least one word.")
        if key in names:
            raise UserError(f"labels {names[key]!r} and {label!r} are the same but for their case; keep one of them.")
        names[key] = label
    if len(names) < 2:
        raise UserError("evaluator label needs --labels with at least two different labels, separated by commas.")
    return tuple(labels)


def _whole(text: str) -> str | None:
    """A whole number as data write it (1, "1", 1.0 of a column with gaps), or None."""
    match = re.fullmatch(r"([+-]?\d{1,18})(?:\.0+)?", text)
    return str(int(match[1])) if match else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
