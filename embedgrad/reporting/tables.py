"""The tables of a run as plain CSV, each with the sha256 of its bytes beside it, which whoever reads the table back checks.

``sha256sum -c ladder.csv.sha256`` checks it too.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from embedgrad_core.files import UserError, sha256_of_bytes, sheet_cell, write_whole


def write_table(rows: Iterable[dict], names: Sequence[str], path: str | Path, line_end: str = "\n") -> None:
    """Write the columns ``names`` as CSV, and its sha256; each file whole or not at all.

    Raises:
        UserError: a folder that cannot be written to.
    """
    data = csv_bytes(rows, names, line_end)
    with write_whole(path) as temporary:
        temporary.write_bytes(data)
    with write_whole(_seal(path)) as temporary:
        temporary.write_text(f"{sha256_of_bytes(data)}  {Path(path).name}\n", encoding="utf-8")


def csv_bytes(rows: Iterable[dict], names: Sequence[str], line_end: str = "\n") -> bytes:
    """The columns ``names`` as CSV; a column that a row lacks is empty, and no cell is a formula to a spreadsheet."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator=line_end)
    writer.writeheader()
    writer.writerows({name: sheet_cell(row.get(name, "")) for name in names} for row in rows)
    return text.getvalue().encode("utf-8")


def read_table(path: str | Path) -> tuple[list[str], list[list[str]]]:
    """Header and lines of a table that this suite wrote; one without a sha256 beside it is read as it is.

    Raises:
        UserError: it cannot be read, or changed since it was written.
    """
    path, seal = Path(path), _seal(path)
    try:
        data = path.read_bytes()
        stored = seal.read_bytes() if seal.exists() else None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    if stored is not None and stored.split()[:1] != [sha256_of_bytes(data).encode()]:
        raise UserError(
            f"{path}: not the table that {seal.name} certifies: it was changed after it was written, or the disk is failing. "
            "Delete both files and run the step that makes them again."
        )
    try:
        header, *rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: not a table ({error}); delete it and run again.") from None
    return header, rows


def read_tsv(path: str | Path, columns: Sequence[str], like: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a table that a person wrote, with their numbers; empty ones are passed over.

    Args:
        path: tab-separated, without quoting.
        columns: the header it must have.
        like: a file that messages give as a pattern.

    Raises:
        UserError: it cannot be read, has other columns, or a line of more or fewer fields; names file and line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # spreadsheets put a byte order mark in front
        header, *lines = [*csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)] or [[]]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a table like {like}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error}).") from None
    except csv.Error as error:
        raise UserError(f"{path}: not a table ({error}); fix it or take {like} as a pattern.") from None
    if header != list(columns):
        raise UserError(f"{path}:1: the header must be these columns, separated by tabs: {', '.join(columns)}.")
    for number, fields in enumerate(lines, start=2):
        if not any(fields):
            continue
        if len(fields) != len(columns):
            raise UserError(f"{path}:{number}: {len(fields)} fields, the header has {len(columns)}; check the tabs.")
        yield number, dict(zip(columns, fields, strict=True))


def _seal(path: str | Path) -> Path:
    return Path(f"{path}.sha256")
