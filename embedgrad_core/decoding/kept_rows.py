"""Answers kept block by block in a file, so that a decoding that was ended goes on from the last whole block.

Each line holds one block under a key of all that decides its tokens: model, device, prompt vectors, inputs, limits, batches. A line
that a kill cut short, or that a disk changed, is passed over. The file may be deleted at any time; it saves time and nothing else.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from embedgrad_core.decoding.rows import Row
from embedgrad_core.files import CHECK, checksum, parse_json, sha256_of_bytes


class KeptLines:
    """A file of JSON lines, each with a checksum of itself: one that a kill cut short, or that a disk changed, is passed over.

    Args:
        path: the file; its folder is made when the first line is added.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    @staticmethod
    def key(decides: object, block: Sequence[tuple[str, list[int]]]) -> str:
        """Of a block of (id, token ids of the input) and whatever else decides its answers."""
        return sha256_of_bytes(json.dumps([decides, block]).encode())

    def append(self, line: dict[str, Any]) -> None:
        """Append a line: on the disk when this returns."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = line | {CHECK: checksum(line)}
        with self._path.open("ab") as out:
            # A line that was cut short has no end: the next one must not continue it.
            out.write(b"\n" + json.dumps(line).encode() + b"\n")
            out.flush()
            os.fsync(out.fileno())

    def lines(self) -> Iterator[dict[str, Any]]:
        """Those that are whole; none where there is no file."""
        if not self._path.exists():
            return
        with self._path.open(encoding="utf-8", errors="replace") as lines:
            for text in lines:
                try:
                    line = parse_json(text)
                    if line[CHECK] == checksum(line):
                        yield line
                except (ValueError, LookupError, TypeError):
                    continue


class KeptRows(KeptLines):
    """The blocks of one file."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._blocks: dict[str, list[Row]] | None = None

    def find(self, key: str) -> list[Row] | None:
        """The rows of a block, or None."""
        if self._blocks is None:
            self._blocks = self._read()
        return self._blocks.get(key)

    def add(self, key: str, rows: Sequence[Row]) -> None:
        """Append a block: on the disk when this returns."""
        self.append({"key": key, "rows": [asdict(row) for row in rows]})

    def _read(self) -> dict[str, list[Row]]:
        blocks: dict[str, list[Row]] = {}
        for line in self.lines():
            with suppress(LookupError, TypeError):
                blocks[line["key"]] = [Row(**row) for row in line["rows"]]
        return blocks


def kept_or_answered(
    kept: KeptRows | None,
    decides: object,
    block: Sequence[tuple[str, list[int]]],
    answer: Callable[[], list[Row]],
    count: Callable[[Row], None],
) -> list[Row]:
    """A block's rows: those kept, of which each is counted, or those that ``answer`` gives and counts itself, kept from then on."""
    if kept is None:
        return answer()
    key = kept.key(decides, block)
    rows = kept.find(key)
    if rows:
        for row in rows:
            count(row)
    else:
        rows = answer()
        kept.add(key, rows)
    return rows
