"""One labelled example, as every step of the method takes it."""

from dataclasses import dataclass, field

ITEM_KEYS = ("id", "input", "target", "answer", "level")
LARGEST = 1e300


@dataclass(frozen=True)
class Item:
    """One labelled example, the same for every task.

    ``input`` is what the user asks; ``target`` is the text that Eq. 6 is trained on; ``answer`` is what the evaluator
    compares; ``level`` is the difficulty (MATH-500: "1"-"5") or None; ``where`` is the file and line it was read from.
    """

    id: str
    input: str
    target: str
    answer: str
    level: str | None = None
    where: str | None = field(default=None, compare=False, repr=False)

    def row(self) -> dict:
        """The item as one JSON-lines row."""
        return {key: getattr(self, key) for key in ITEM_KEYS}

    @property
    def name(self) -> str:
        """What an error calls it."""
        return self.where or f"item {self.id}"


def is_whole_text(text: str) -> bool:
    """Whether a text can be written as UTF-8: an escape in JSON or a command line may bring half of a surrogate pair."""
    return not any("\ud800" <= one <= "\udfff" for one in text)


def is_number(value: object) -> bool:
    """Whether a value read from JSON is a number that a float can hold; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
