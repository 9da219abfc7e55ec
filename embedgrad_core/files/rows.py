"""The rows that travel between steps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from embedgrad_core.files.atomic import checksum, read_jsonl, sha256_of_bytes
from embedgrad_core.files.errors import UserError

# Endings of what people have tables in; the suite writes JSON lines alone.
TABLES = (".csv", ".tsv", ".parquet", ".xlsx", ".xls", ".ods")
ITEM_KEYS = ("id", "input", "target", "answer", "level")
DECODED_KEYS = ("id", "output", "n_tokens", "stop", "entropy_bits")
LARGEST = 1e300
FAILURES = ("none", "wrong", "no_answer", "truncated", "loop", "undecided")


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
    def told(self) -> str:
        """What an error calls it."""
        return self.where or f"item {self.id}"


def is_whole_text(text: str) -> bool:
    """Whether a text can be written as UTF-8: an escape in JSON or a command line may bring half of a surrogate pair."""
    return not any("\ud800" <= one <= "\udfff" for one in text)


def is_number(value: object) -> bool:
    """Whether a value read from JSON is a number that a float can hold; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def read_decoded(path: str | Path, required: Iterable[str] = DECODED_KEYS) -> list[dict]:
    """Read decoded or graded answers, each with the ``required`` keys.

    Raises:
        UserError: a malformed line, or a value of the wrong kind.
    """
    rows = read_jsonl(path, required)
    for number, row in enumerate(rows, start=1):
        for key in ("id", "output", "stop"):
            if not isinstance(row[key], str):
                raise UserError(
                    f"{path}:{number}: {key!r} must be text, found {type(row[key]).__name__}; decode again."
                )
        if row["entropy_bits"] is not None and not is_number(row["entropy_bits"]):
            raise UserError(f"{path}:{number}: 'entropy_bits' must be a finite number or null; decode again.")
        tokens = row["n_tokens"]
        if not isinstance(tokens, int) or not is_number(tokens) or tokens < 0:
            raise UserError(f"{path}:{number}: 'n_tokens' must be a whole number; decode again.")
    return rows


def read_items(path: str | Path, level: str | None = None) -> list[Item]:
    """Read ``{train,dev,test}.jsonl``; with ``level``, only the items of that level.

    Raises:
        UserError: a malformed line, two items with one id, or no item left.
    """
    if Path(path).suffix.lower() in TABLES:
        raise UserError(
            f"{path}: is a table of your own; this step reads the suite's JSON lines with {', '.join(ITEM_KEYS)}. `embedgrad "
            "optimize --data` and `embedgrad evaluate --data` read tables."
        )
    items, seen = [], {}
    for number, row in enumerate(read_jsonl(path, ITEM_KEYS), start=1):
        for key in ("id", "input", "target", "answer"):
            if not isinstance(row[key], str):
                raise UserError(f"{path}:{number}: {key!r} must be text, found {type(row[key]).__name__}.")
            if not is_whole_text(row[key]):
                raise UserError(f"{path}:{number}: {key!r} holds half of a surrogate pair; mend the line.")
        if row["level"] is not None and not isinstance(row["level"], str):
            raise UserError(f"{path}:{number}: 'level' must be text or null, found {type(row['level']).__name__}.")
        if row["id"] in seen:
            raise UserError(f"{path}:{number}: id {row['id']!r} stands at line {seen[row['id']]} too; ids must differ.")
        seen[row["id"]] = number
        if level is None or row["level"] == level:
            items.append(Item(**{key: row[key] for key in ITEM_KEYS}, where=f"{path}:{number}"))
    if not items:
        raise UserError(f"{path}: no items" + (f" of level {level!r}." if level is not None else "."))
    return items


def answers_sha256(rows: Sequence[dict]) -> str:
    """Hash of decoded answers, graded or not: of what the model said, in its order."""
    told = (checksum({key: row[key] for key in DECODED_KEYS}) for row in rows)
    return sha256_of_bytes("\n".join(told).encode())
