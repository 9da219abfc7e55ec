"""Answers kept block by block in a file, so that a decoding that was ended goes on from the last whole block.

Each line holds one block under a key of all that decides its tokens: model, device, prompt vectors, inputs, limits, batches. A line
that a kill cut short, or that a disk changed, is passed over. The file may be deleted at any time; it saves time and nothing else.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from embedgrad_core.decoding.rows import Row
from embedgrad_core.files import CHECK, checksum, parse_json, sha256_of_bytes


class KeptRows:
    """The blocks of one file.

    Args:
        path: the file; its folder is made when the first block is added.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._blocks: dict[str, list[Row]] | None = None

    @staticmethod
    def key(decides: object, block: Sequence[tuple[str, list[int]]]) -> str:
        """Of a block of (id, token ids of the input) and whatever else decides its answers."""
        return sha256_of_bytes(json.dumps([decides, block]).encode())

    def find(self, key: str) -> list[Row] | None:
        """The rows of a block, or None."""
        if self._blocks is None:
            self._blocks = self._read()
        return self._blocks.get(key)

    def add(self, key: str, rows: Sequence[Row]) -> None:
        """Append a block: on the disk when this returns."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = {"key": key, "rows": [asdict(row) for row in rows]}
        line[CHECK] = checksum(line)
        with self._path.open("ab") as out:
            # A line that was cut short has no end: the next one must not continue it.
            out.write(b"\n" + json.dumps(line).encode() + b"\n")
            out.flush()
            os.fsync(out.fileno())

    def _read(self) -> dict[str, list[Row]]:
        blocks: dict[str, list[Row]] = {}
        if not self._path.exists():
            return blocks
        with self._path.open(encoding="utf-8", errors="replace") as lines:
            for text in lines:
                try:
                    line = parse_json(text)
                    if line[CHECK] == checksum(line):
                        blocks[line["key"]] = [Row(**row) for row in line["rows"]]
                except (ValueError, LookupError, TypeError):
                    continue
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
