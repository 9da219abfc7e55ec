"""The page's section on what the gain is made of, as plain values: one part a probe that the run has."""

from collections.abc import Sequence
from pathlib import Path

from embedgrad.reporting.figures.images import as_image
from embedgrad.reporting.probes import NOWHERE, PROBES, applying, found_by, rows
from embedgrad.reporting.results.collected import Outcome


def section(outcomes: Sequence[Outcome], folder: Path) -> list[dict]:
    """Title, caption, sentence, table and figure of each probe that some cell has.

    Raises:
        UserError: a file that is not a probe's result; names it.
    """
    parts = []
    for name, probe in PROBES.items():
        found = found_by(name, outcomes, folder)
        if not found:
            continue
        table, some = rows(name, found), applying(found)
        # What is said in words comes last, where it may be wide.
        header = sorted(dict.fromkeys(key for row in table for key in row), key="note".__eq__)
        parts.append(
            {
                "name": name,
                "title": probe.TITLE,
                "caption": probe.CAPTION,
                "sentence": probe.sentence(some) if some else NOWHERE,
                "header": header,
                "rows": [["" if row.get(key) is None else str(row[key]) for key in header] for row in table],
                "image": as_image(probe.figure(some)) if some else None,
            }
        )
    return parts
