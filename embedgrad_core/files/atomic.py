"""Whole-or-nothing files: JSON, JSON lines, hashes.

A result exists only when complete: it is written under a temporary name in the same folder, flushed to disk and renamed
last, so a killed process never leaves half a file under the final name. Each object carries a checksum of itself under the
key ``check``, so that a byte that changed on disk is reported and not read as a number.
"""

import contextlib
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from embedgrad_core.files.errors import UserError

CHECK = "check"
# How the names of files and folders end that are still being written; so no file of a user's ends.
TEMPORARY = ".embedgrad.tmp"


@contextlib.contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds, remove it if not.

    Raises:
        UserError: a full disk, a folder that cannot be written to, a device or a pipe; whatever lay at ``path`` is untouched.
    """
    path, temporary = Path(path), None
    if path.exists() and not path.is_file():
        # Renaming would put a file in the place of a device for everyone on this machine.
        raise UserError(f"{path}: is not an ordinary file, and nothing else is written over; give another name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
        new.touch(exist_ok=False)  # mkstemp would make it private, whatever the umask says
        temporary = new
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); fix that (space, permissions) and run the same step again."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Bring the names in a folder to disk: a rename lies in memory until then. Not every file system knows this."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, an object with its checksum; whole or not at all."""
    if isinstance(value, dict):
        value = value | {CHECK: checksum(value)}
    with write_whole(path) as temporary:
        temporary.write_bytes(_line(value, indent=2, sort_keys=True))


def write_jsonl(path: str | Path, rows: Iterable[dict]) -> None:
    """Write one JSON object per line, each with its checksum; whole or not at all."""
    with write_whole(path) as temporary, temporary.open("wb") as out:
        for row in rows:
            out.write(_line(row | {CHECK: checksum(row)}))


def checksum(value: dict) -> str:
    """16 hexadecimal digits over an object's content, the order of its keys and a checksum of its own left out."""
    # Once through JSON, as a reader will see it: there all keys are text, and sort as text.
    content = json.loads(json.dumps({key: value[key] for key in value if key != CHECK}, allow_nan=False))
    return sha256_of_bytes(json.dumps(content, sort_keys=True, allow_nan=False).encode())[:16]


def _unsealed(value: Any, where: str) -> Any:
    """The object without its checksum, which must be right if it is there."""
    if not isinstance(value, dict) or CHECK not in value:
        return value
    try:
        sound = value[CHECK] == checksum(value)
    except (ValueError, RecursionError):  # NaN is not JSON, nor anything that this suite writes
        sound = False
    if not sound:
        raise UserError(
            f"{where}: the content does not fit its checksum: it was changed after it was written, or the disk is failing. "
            "Delete the file and run the step that makes it again."
        )
    return {key: value[key] for key in value if key != CHECK}


def _line(value: Any, **options: Any) -> bytes:
    try:
        return (json.dumps(value, ensure_ascii=False, allow_nan=False, **options) + "\n").encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, as an escape in a model's answer may give: JSON escapes it
        return (json.dumps(value, allow_nan=False, **options) + "\n").encode("ascii")


def parse_json(text: str) -> Any:
    """The value of a JSON text; stricter than Python, which takes NaN and turns 1e999 into infinity.

    Raises:
        ValueError: it is not JSON, nested too deeply, or holds a number that cannot be kept.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing, not UTF-8, cut short or changed since; the message names it and what to do.
    """
    try:
        return _unsealed(parse_json(_text(path)), str(path))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: not valid JSON at line {error.lineno} ({error.msg}); the file may be cut short. "
            "Delete it and run the step that makes it again."
        ) from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run the step that makes it again.") from None


def read_jsonl(path: str | Path, required: Iterable[str] = ()) -> list[dict]:
    """Read a file of JSON lines, each an object that has the ``required`` keys.

    Raises:
        UserError: missing file, a line that is not an object (a file cut short ends in one), that was changed since, or
            that lacks a key; the message names the file and the line.
    """
    text, rows = _text(path), []
    if text and not text.endswith("\n"):
        last = text.count("\n") + 1
        raise UserError(
            f"{path}:{last}: the last line has no end; the file was cut short. Delete it and run the step again."
        )
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            row = parse_json(line)
        except ValueError:
            raise UserError(
                f"{path}:{number}: not a JSON object; fix or delete the file and run the step again."
            ) from None
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}.")
        row = _unsealed(row, f"{path}:{number}")
        missing = [key for key in required if key not in row]
        if missing:
            raise UserError(f"{path}:{number}: key {missing[0]!r} is missing; each line needs {', '.join(required)}.")
        rows.append(row)
    return rows


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8.") from None


def sha256_of_bytes(data: bytes) -> str:
    """Hexadecimal sha256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: str | Path) -> str:
    """Hexadecimal sha256 of a file's bytes, read in pieces."""
    with Path(path).open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
