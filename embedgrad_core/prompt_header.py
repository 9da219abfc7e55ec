"""What the header of a prompt file may hold; whoever has changed the file may have written anything there."""

import re
from collections.abc import Callable
from pathlib import Path

from embedgrad_core.files import UserError, is_number

_COMMIT = re.compile(r"[0-9a-f]{40}")


def check_header(path: str | Path, header: dict) -> None:
    """Check the kind of every field that anything reads, so that no reader has to.

    Raises:
        UserError: a field is of another kind than this suite writes; names the file and the key.
    """
    for key, fits in _FIELDS.items():
        # Files of earlier versions lack some; what was not known when a file was written stands there as null.
        if header.get(key) is not None and not fits(header[key]):
            raise UserError(f"{path}: key {key!r} of its header is not what this suite writes; take a whole copy.")


def recorded_model(header: dict, name: str | None, revision: str | None) -> tuple[str | None, str]:
    """Name and revision of the model to load for a prompt: as given, else as its header records them.

    Returns:
        The name, None where neither says one; and the revision, the recorded commit rather than a branch, which may have moved.
    """
    made_for = header.get("model") or {}
    recorded, resolved = made_for.get("name"), made_for.get("resolved") or ""
    commit = resolved if _COMMIT.fullmatch(resolved) else None
    # A commit says nothing about another repository, a copy of the model's under another name, say.
    kept = (commit or made_for.get("revision")) if name in (None, recorded) else None
    return name or recorded, revision or kept or "main"


def _text(value: object) -> bool:
    return isinstance(value, str)


def _text_or_null(value: object) -> bool:
    return value is None or isinstance(value, str)


def _count(value: object) -> bool:
    return isinstance(value, int) and is_number(value) and value >= 0


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _scalar(value: object) -> bool:
    return isinstance(value, bool | str | None) or is_number(value)


def _scalars(value: object) -> bool:
    return isinstance(value, dict) and all(map(_scalar, value.values()))


def _names(value: object) -> bool:
    return isinstance(value, dict) and all(map(_text, value.values()))


def _mapping(value: object) -> bool:
    return isinstance(value, dict)  # checked further by who reads it: embedgrad/stored.py


def _model(value: object) -> bool:
    return _scalars(value) and all(
        _text_or_null(value.get(key)) for key in ("name", "revision", "resolved", "architecture", "dtype", "device")
    )


def _data(value: object) -> bool:
    if not isinstance(value, dict) or not all(_text_or_null(value.get(key)) for key in ("level", "task")):
        return False
    sizes = [value[key] for key in ("train", "dev") if key in value]
    return len(sizes) in (0, 2) and all(map(_count, sizes))


_FIELDS: dict[str, Callable[[object], bool]] = {
    "text": _text,
    "template": _text,
    "layout": _names,
    "model": _model,
    "seen": _texts,
    "grading": _mapping,
    "decoding": _mapping,
    "data": _data,
    "settings": _scalars,
    "versions": _names,
    "gate": _scalars,
    "best_epoch": _count,
}
