"""Figures as they come: one JSON line each, on disk at once."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Context:
    """What a part needs to know.

    Attributes:
        part: its name.
        device: ``cuda`` or ``cpu``.
        small: tiny shapes.
        out: folder of the figures.
        deadline: end of its box, on the monotonic clock.
        mirror: folder with data and models, if there is one.
        gguf_parts: folder with pieces of a GGUF file, if there is one.
    """

    part: str
    device: str
    small: bool
    out: Path
    deadline: float
    mirror: Path | None = None
    gguf_parts: Path | None = None

    def left(self) -> float:
        """Seconds to the end of the box."""
        return self.deadline - time.monotonic()

    def row(self, name: str, **values: object) -> None:
        """A figure."""
        append(self.out / "rows.jsonl", {"part": self.part, "name": name, **values})

    def rows(self, part: str) -> list[dict]:
        """The figures of a part that ran before."""
        return [row for row in read_rows(self.out / "rows.jsonl") if row["part"] == part]

    def measure(self, name: str, work: Callable[[], Iterable[dict]], needs: float = 0.0) -> None:
        """Rows of ``work`` under one name, if about ``needs`` seconds are left; an error is a row, and the part goes on.

        Raises:
            RuntimeError: CUDA's own state is lost, so that nothing more can come of this process.
        """
        if self.left() < needs:
            self.row(name, cut=f"{max(0, self.left()):.0f} s were left in the box, about {needs:.0f} s needed")
            return
        begun = time.monotonic()
        try:
            for values in work():
                self.row(name, **values)
        except Exception as error:  # any fault of any part is a finding
            self.row(name, error=f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0][:300]}")
            if "CUDA error" in str(error):
                raise
        finally:
            print(f"{name}: {time.monotonic() - begun:.1f} s", flush=True)


def append(path: Path, row: dict) -> None:
    """A line, whole or not at all to those who read on."""
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_rows(path: Path) -> list[dict]:
    """What has been written so far; a last line that a kill cut short is left out."""
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
    return rows
