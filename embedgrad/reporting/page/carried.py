"""The page's section on prompts elsewhere, as plain values: a part for other models and one for words."""

from pathlib import Path

from embedgrad.reporting.carried import KINDS, rows, shown
from embedgrad.reporting.figures.carried import elsewhere
from embedgrad.reporting.figures.images import as_image
from embedgrad.reporting.results.carried import files


def section(folder: Path) -> list[dict]:
    """Title, caption, sentence, table and figure of each kind of report that the run has.

    Raises:
        UserError: a file that is not such a report; names it.
    """
    parts = []
    for name, paths in files(folder).items():
        if not paths:
            continue
        kind = KINDS[name]
        reports = [kind.read(path) for path in paths]
        lines = rows(reports)
        header = sorted(dict.fromkeys(key for row in lines for key in row), key="note".__eq__)
        parts.append(
            {
                "name": name,
                "title": kind.title,
                "caption": kind.caption,
                "sentence": kind.sentence(reports),
                "header": header,
                "rows": [[shown(key, row.get(key)) for key in header] for row in lines],
                "image": as_image(elsewhere(reports)),
            }
        )
    return parts
