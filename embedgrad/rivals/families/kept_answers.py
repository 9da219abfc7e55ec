"""What a search in words had the model answer, kept in a file: a search that was ended asks the same again and has it at once.

Searches in words are deterministic but for the model, and the model answers greedily. So nothing of a library's own state has to be
saved: started anew, it takes the same steps. What the answers took the first time is kept with them and counted again.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from embedgrad_core.decoding.answers import Decoded
from embedgrad_core.decoding.kept_rows import KeptLines


@dataclass(frozen=True)
class Asked:
    """One request.

    Attributes:
        rows: its answers.
        seconds: that they took by the clock.
        cpu_seconds: of all threads of the process.
    """

    rows: Sequence[Decoded]
    seconds: float
    cpu_seconds: float


class KeptAnswers(KeptLines):
    """The requests of one file, each under a key of all that decides its answers."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._known: dict[str, Asked] | None = None

    def find(self, key: str) -> Asked | None:
        """What a request was answered, or None."""
        if self._known is None:
            self._known = {}
            for line in self.lines():
                with suppress(LookupError, TypeError):
                    rows = [Decoded(**row) for row in line["rows"]]
                    self._known[line["key"]] = Asked(rows, float(line["seconds"]), float(line["cpu_seconds"]))
        return self._known.get(key)

    def add(self, key: str, asked: Asked) -> None:
        """Append a request: on the disk when this returns."""
        times = {"seconds": asked.seconds, "cpu_seconds": asked.cpu_seconds}
        self.append({"key": key, "rows": [row.row() for row in asked.rows], **times})
