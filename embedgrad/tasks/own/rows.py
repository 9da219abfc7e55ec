"""The rows of data of one's own, each with where it stands: files, rows in memory, a hub data set.

What a spreadsheet writes is read as it is: other delimiters, a ``sep=`` line, columns without a name that hold nothing, and an
encoding that is not UTF-8; each is reported.
"""

import csv
import gzip
import io
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from embedgrad.tasks.source import as_user_error
from embedgrad_core.files import UserError, parse_json

SUFFIXES = {
    ".jsonl": "JSON lines",
    ".json": "JSON lines",
    ".csv": "CSV",
    ".tsv": "TSV",
    ".parquet": "Parquet",
    ".jsonl.gz": "JSON lines",
    ".json.gz": "JSON lines",
    ".csv.gz": "CSV",
    ".tsv.gz": "TSV",
}
FIELD_BYTES = 16 * 2**20
# Of a file that was compressed: more is taken for a trap.
MOST_BYTES = 2 * 2**30
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def suffix_of(path: Path) -> str:
    """The ending that says what a file holds, ``.gz`` with the one before it."""
    endings = [ending.lower() for ending in path.suffixes[-2:]]
    return "".join(endings) if endings[-1:] == [".gz"] else path.suffix.lower()


def rows_of(path: Path, log: Callable[[str], None] = lambda line: None) -> Iterator[tuple[str, Mapping]]:
    """(``file:line``, row) of every row that is not blank.

    Args:
        path: the file.
        log: where to report what was guessed of its form.

    Raises:
        UserError: no such file, a folder, an unknown ending, unreadable characters, or a malformed line.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give a file that ends in {', '.join(SUFFIXES)}.")
    kind = SUFFIXES.get(suffix_of(path))
    if kind is None:
        raise UserError(f"{path}: the ending {suffix_of(path)!r} is unknown; give {', '.join(SUFFIXES)}.")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    if kind == "Parquet":
        return _parquet_rows(path, raw)
    if path.suffix.lower() == ".gz":
        raw = _unpacked(path, raw)
    text = _decoded(path, raw, kind, log)
    if not text.strip():
        raise UserError(f"{path}: the file is empty; give at least one row with an input and an answer.")
    return _json_rows(path, text) if kind == "JSON lines" else _table_rows(path, text, kind, log)


def _unpacked(path: Path, raw: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(raw)) as source:
            found = source.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: not a whole gzip file ({error}); take a whole copy.") from None
    if len(found) > MOST_BYTES:
        raise UserError(f"{path}: unpacks to more than {MOST_BYTES:,} bytes; cut it into smaller files.")
    return found


def _decoded(path: Path, raw: bytes, kind: str, log: Callable[[str], None]) -> str:
    """The text. JSON lines are UTF-8; a spreadsheet may have written what its system uses."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            text = raw.decode("utf-16")
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not UTF-16, as its first bytes say ({error.reason}); save it as UTF-8.") from None
        log(f"{path}: read as UTF-16")
        return text
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        wrong = UserError(f"{path}:{line}: not UTF-8 (byte {error.start}); save the whole file as UTF-8.")
    # A file that is UTF-8 elsewhere is a mixture, and no one encoding would read all of it.
    if kind == "JSON lines" or _is_partly_utf8(raw):
        raise wrong
    from charset_normalizer import from_bytes

    likely = ["cp1252", "cp1250", "cp1251", "gb18030", "big5", "shift_jis", "euc_kr"]
    found = from_bytes(raw, cp_isolation=likely).best()
    if found is None:
        raise wrong
    # Several may give the very same letters.
    encoding = "Windows-1252" if "cp1252" in found.could_be_from_charset else found.encoding
    log(f"{path}: not UTF-8; read as {encoding}, look whether its letters are right, or save it as UTF-8")
    return raw.decode(found.encoding)


def _is_partly_utf8(raw: bytes) -> bool:
    """Whether some line holds characters beyond ASCII that are whole UTF-8."""
    for line in raw.split(b"\n"):
        if not line.isascii():
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                continue
            return True
    return False


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, dict]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            reason = getattr(error, "msg", error)
            raise UserError(f"{path}:{number}: not a JSON object ({reason}); each line is one object.") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}.")
        yield f"{path}:{number}", row


def _table_rows(path: Path, text: str, kind: str, log: Callable[[str], None]) -> Iterator[tuple[str, dict]]:
    csv.field_size_limit(FIELD_BYTES)
    delimiter, skipped = _delimiter(text, kind)
    if delimiter != {"CSV": ",", "TSV": "\t"}[kind]:
        log(f"{path}: fields are parted by {_DELIMITERS.get(delimiter, repr(delimiter))}")
    # Not splitlines: it also cuts where a text holds U+2028, U+0085, a form feed or the like.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    start = 1
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise UserError(f"{path}:{start}: not a well-formed row ({error}); fix its quotes.") from None
        if fields is None:
            return
        where, start = f"{path}:{start}", reader.line_num + 1
        if not any(field.strip() for field in fields) or reader.line_num <= skipped:
            continue
        if not header:
            header = [unicodedata.normalize("NFC", field.strip()) for field in fields]
            named = [name for name in header if name]
            if len(set(named)) != len(named):
                raise UserError(f"{where}: two columns have one name; the first line must name each column once.")
            continue
        if len(fields) != len(header):
            raise UserError(
                f"{where}: {len(fields)} fields, the first line names {len(header)}; fix the row or its quotes."
            )
        for place, (name, field) in enumerate(zip(header, fields, strict=True), start=1):
            if not name and field.strip():
                raise UserError(
                    f"{where}: column {place} holds {field[:40]!r} and has no name in the first line; name it."
                )
        yield where, {name: field for name, field in zip(header, fields, strict=True) if name}


def _delimiter(text: str, kind: str) -> tuple[str, int]:
    """What parts the fields, and how many lines stand before the header: Excel's ``sep=;`` says it, else the header does."""
    first = text.lstrip("\r\n").split("\n", 1)[0].strip("\r")
    if first[:4].lower() == "sep=" and len(first) == 5:
        return first[4], text.count("\n", 0, text.index(first)) + 1
    usual = "\t" if kind == "TSV" else ","

    def fields(delimiter: str) -> int:
        return len(next(csv.reader([first], delimiter=delimiter), []))

    best = max(_DELIMITERS, key=lambda delimiter: (fields(delimiter), delimiter == usual))
    return (usual if fields(usual) > 1 else best), 0


def _parquet_rows(path: Path, raw: bytes) -> Iterator[tuple[str, Mapping]]:
    import datasets
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(io.BytesIO(raw))
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0][:200]
        raise UserError(f"{path}: not a whole Parquet file ({reason}); take a whole copy.") from None
    rows = named_rows(datasets.Dataset(table))
    return ((f"{path} row {number}", row) for number, row in enumerate(rows, start=1))


def named_rows(source: Iterable[Any]) -> Iterator[Any]:
    """Rows in memory; where a ``datasets.Dataset`` says what its class numbers are called, by those names."""
    features = getattr(source, "features", None)
    known = features.items() if isinstance(features, Mapping) else ()
    names = {column: feature.names for column, feature in known if hasattr(feature, "names")}
    for row in source:
        yield {**row, **{column: _named(row[column], of) for column, of in names.items()}} if names else row


def _named(number: Any, names: list[str]) -> Any:
    return names[number] if isinstance(number, int) and 0 <= number < len(names) else None


def hub_rows(name: str, revision: str, config: str | None, split: str) -> Iterator[tuple[str, Mapping]]:
    """(``name row number``, row) of a split of a hub data set.

    Raises:
        UserError: it cannot be had; gives the hub's reason.
    """
    # imported here because datasets takes seconds to import and a file needs none of it
    import datasets

    what = f"data set {name} (config {config or 'default'}, split {split}, revision {revision})"
    with as_user_error(what, "check the network and the names, or save it as a .jsonl file."):
        table = datasets.load_dataset(name, config, split=split, revision=revision)
    return ((f"{name} row {number}", row) for number, row in enumerate(named_rows(table), start=1))
