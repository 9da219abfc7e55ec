"""The rows that travel between the steps of a run: items and decoded answers."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from embedgrad_core.files import (
    ITEM_KEYS,
    Item,
    UserError,
    checksum,
    is_number,
    is_whole_text,
    read_jsonl,
    sha256_of_bytes,
)

# Endings of what people have tables in; the suite writes JSON lines alone.
TABLES = (".csv", ".tsv", ".parquet", ".xlsx", ".xls", ".ods")
# Why an answer ended (:class:`embedgrad_core.decoding.answers.Decoded`): those that repeat themselves.
LOOP_STOPS = ("loop_suspect", "loop_stopped")
DECODED_KEYS = ("id", "output", "n_tokens", "stop", "entropy_bits")
FAILURES = ("none", "wrong", "no_answer", "truncated", "loop", "undecided")


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


def answers_to(items: Sequence[Item], path: str | Path) -> list[dict]:
    """The decoded answers to ``items``, in their order.

    Raises:
        UserError: an item without an answer, or what :func:`read_decoded` raises.
    """
    rows = {row["id"]: row for row in read_decoded(path)}
    missing = [item.id for item in items if item.id not in rows]
    if missing:
        raise UserError(f"{path}: no answer to item {missing[0]} ({len(missing)} are missing); decode again.")
    return [rows[item.id] for item in items]


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
    items: list[Item] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(read_jsonl(path, ITEM_KEYS), start=1):
        for key in ("id", "input", "target", "answer"):
            if not isinstance(row[key], str):
                raise UserError(f"{path}:{number}: {key!r} must be text, found {type(row[key]).__name__}.")
            if not is_whole_text(row[key]):
                raise UserError(f"{path}:{number}: {key!r} holds half of a surrogate pair; fix the line.")
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
    """Hash of decoded answers, graded or not: of what the model answered, in its order."""
    checksums = (checksum({key: row[key] for key in DECODED_KEYS}) for row in rows)
    return sha256_of_bytes("\n".join(checksums).encode())
