"""Results in the order in which a search asks for them, kept in a file: ended by a kill, it asks again and goes on from there.

For work whose every decision follows from its seed and from results that take long: replayed, they lead to the same place. Each
line holds one result. A line that a kill cut short, or that a disk changed, is passed over, and what follows it with it.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embedgrad_core.files import CHECK, UserError, checksum, parse_json, sha256_of_bytes


class KeptResults:
    """The results of one search.

    Args:
        path: the file; None keeps nothing.
        decides: whatever the results depend on, as JSON.

    Attributes:
        replayed: results that came from the file so far.
    """

    def __init__(self, path: Path | None, decides: object) -> None:
        self._path, self._search = path, sha256_of_bytes(json.dumps(decides, sort_keys=True).encode())
        self._found = self._read() if path and path.exists() else []
        self._asked = self.replayed = 0

    @property
    def known(self) -> int:
        """Results that were in the file when it was opened."""
        return len(self._found)

    def get(self, what: str, compute: Callable[[], Any]) -> Any:
        """The next result: from the file, or computed and on the disk when this returns.

        Args:
            what: its kind, the same on each run.
            compute: gives it as JSON; numbers come back to the last bit.

        Raises:
            UserError: the file has a result of another kind here.
        """
        place, self._asked = self._asked, self._asked + 1
        if place < len(self._found):
            kind, found = self._found[place]
            if kind != what:
                raise UserError(f"{self._path}: result {place} is of {kind!r}, not {what!r}; delete it to start anew.")
            self.replayed += 1
            return found
        found = compute()
        if self._path:
            line = {"search": self._search, "place": place, "what": what, "found": found}
            line[CHECK] = checksum(line)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as out:
                # A line that was cut short has no end: the next one must not continue it.
                out.write(b"\n" + json.dumps(line).encode() + b"\n")
                out.flush()
                os.fsync(out.fileno())
        return found

    def _read(self) -> list[tuple[str, Any]]:
        lines: dict[int, tuple[str, Any]] = {}
        assert self._path is not None
        with self._path.open(encoding="utf-8", errors="replace") as texts:
            for text in texts:
                try:
                    line = parse_json(text)
                    if line[CHECK] != checksum(line):
                        continue
                    search, place, kept = line["search"], line["place"], (line["what"], line["found"])
                except (ValueError, LookupError, TypeError):
                    continue
                if search != self._search:
                    raise UserError(
                        f"{self._path}: this state belongs to another model, data or setting; delete it to start anew."
                    )
                lines[place] = kept
        whole: list[tuple[str, Any]] = []
        while len(whole) in lines:
            whole.append(lines[len(whole)])
        return whole
