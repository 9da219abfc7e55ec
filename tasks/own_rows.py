"""The rows of data of one's own: of JSON lines, CSV, TSV or a hub data set, each with the line it stands on."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from contracts import UserError, parse_json
from tasks.source import told_by_the_hub

SUFFIXES = {".jsonl": "JSON lines", ".json": "JSON lines", ".csv": "CSV", ".tsv": "TSV"}
FIELD_BYTES = 16 * 2**20


def rows_of(path: Path) -> Iterator[tuple[str, dict]]:
    """(``file:line``, row) of every row that is not blank.

    Raises:
        UserError: no such file, a folder, an unknown ending, not UTF-8, or a malformed line.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give a file that ends in {', '.join(SUFFIXES)}.")
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise UserError(f"{path}: the ending {path.suffix!r} is unknown; give {', '.join(SUFFIXES)}.")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 (byte {error.start}); save the whole file as UTF-8.") from None
    if not text.strip():
        raise UserError(f"{path}: the file is empty; give at least one row with an input and an answer.")
    return _json_rows(path, text) if kind == "JSON lines" else _table_rows(path, text, "\t" if kind == "TSV" else ",")


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, dict]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            told = getattr(error, "msg", error)
            raise UserError(f"{path}:{number}: not a JSON object ({told}); each line is one object.") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}.")
        yield f"{path}:{number}", row


def _table_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[str, dict]]:
    csv.field_size_limit(FIELD_BYTES)
    # Not splitlines: it also cuts where a text holds U+2028, U+0085, a form feed or the like.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    start = 1
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise UserError(f"{path}:{start}: not a well-formed row ({error}); mend its quotes.") from None
        if fields is None:
            return
        where, start = f"{path}:{start}", reader.line_num + 1
        if not any(field.strip() for field in fields):
            continue
        if not header:
            header = [field.strip() for field in fields]
            if len(set(header)) != len(header):
                raise UserError(f"{where}: two columns have one name; the first line must name each column once.")
            continue
        if len(fields) != len(header):
            raise UserError(
                f"{where}: {len(fields)} fields, the first line names {len(header)}; mend the row or its quotes."
            )
        yield where, dict(zip(header, fields, strict=True))


def hub_rows(name: str, revision: str, config: str | None, split: str) -> Iterator[tuple[str, dict]]:
    """(``name row number``, row) of a split of a hub data set.

    Raises:
        UserError: it cannot be had; says what the hub said.
    """
    # imported here because datasets takes seconds to import and a file needs none of it
    import datasets

    what = f"data set {name} (config {config or 'default'}, split {split}, revision {revision})"
    with told_by_the_hub(what, "check the network and the names, or save it as a .jsonl file."):
        table = datasets.load_dataset(name, config, split=split, revision=revision)
    # A class label is a number with a name in the table's features: the name is what a model can write.
    for column, feature in table.features.items():
        if isinstance(feature, datasets.ClassLabel):
            table = table.cast_column(column, datasets.Value("int64"))
            names = [feature.int2str(number) for number in range(feature.num_classes)]
            table = table.map(lambda row, c=column, n=names: {c: n[row[c]] if row[c] >= 0 else None})
    return ((f"{name} row {number}", row) for number, row in enumerate(table, start=1))
