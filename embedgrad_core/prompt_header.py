"""What the header of a prompt file may hold; whoever has changed the file may have written anything there."""

import re
from pathlib import Path

import jsonschema

from embedgrad_core.decoding.settings import LIMIT, Decoding
from embedgrad_core.files import UserError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TEXT, _TEXT_OR_NULL = {"type": "string"}, {"type": ["string", "null"]}
_NUMBER = {"type": ["number", "boolean", "string", "null"], "minimum": -1e300, "maximum": 1e300}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 1e300}
_NAMES = {"type": "object", "additionalProperties": _TEXT}
_SCALARS = {"type": "object", "additionalProperties": _NUMBER}
_MODEL = ("name", "revision", "resolved", "architecture", "dtype", "device")
# The kind of every field that anything reads, so that no reader has to look. Earlier versions lack some fields; what was not known
# when a file was written stands there as null.
FIELDS: dict[str, dict] = {
    "text": _TEXT,
    "template": _TEXT,
    "layout": _NAMES,
    "model": _SCALARS | {"properties": dict.fromkeys(_MODEL, _TEXT_OR_NULL)},
    "seen": {"type": "array", "items": _TEXT},
    "grading": {"type": "object"},  # looked at by the suite, whose evaluators it names
    "decoding": {"type": "object"},  # see recorded_decoding
    "data": {
        "type": "object",
        "properties": {"level": _TEXT_OR_NULL, "task": _TEXT_OR_NULL, "train": _COUNT, "dev": _COUNT},
        "dependentRequired": {"train": ["dev"], "dev": ["train"]},
    },
    "settings": _SCALARS,
    "versions": _NAMES,
    "gate": _SCALARS,
    "carried_from": _SCALARS,
    "best_epoch": _COUNT,
}


def check_header(path: str | Path, header: dict) -> None:
    """Check every field that anything reads.

    Raises:
        UserError: a field is of another kind than this suite writes; names the file and the key.
    """
    for key, schema in FIELDS.items():
        if header.get(key) is not None:
            check_field(path, header, key, schema)


def check_field(path: str | Path, header: dict, key: str, schema: dict) -> None:
    """Hold one field against its JSON schema.

    Raises:
        UserError: it does not fit; names the file and the key.
    """
    if not jsonschema.Draft202012Validator(schema).is_valid(header[key]):
        raise unreadable(path, key)


def unreadable(path: str | Path, key: str) -> UserError:
    """What to say of a field that this suite did not write so."""
    return UserError(f"{path}: key {key!r} of its header is not what this suite writes; take a whole copy.")


def recorded_model(header: dict, name: str | None, revision: str | None) -> tuple[str | None, str]:
    """Name and revision of the model to load for a prompt: as given, else as its header records them.

    Returns:
        The name, None where neither says one; and the revision, the recorded commit rather than a branch, which may have moved.
    """
    made_for = header.get("model") or {}
    recorded, resolved = made_for.get("name"), made_for.get("resolved") or ""
    commit = resolved if _COMMIT.fullmatch(resolved) else None
    # A commit says nothing about another repository, a copy of the model's under another name for instance.
    kept = (commit or made_for.get("revision")) if name in (None, recorded) else None
    return name or recorded, revision or kept or "main"


def recorded_decoding(path: str | Path, header: dict) -> Decoding:
    """The settings of decoding in a prompt file's header, the usual ones where it has none.

    Raises:
        UserError: they are not what the suite writes there.
    """
    try:
        return Decoding.of_row({"max_new_tokens": LIMIT, **(header.get("decoding") or {})})
    except UserError as error:
        raise UserError(f"{unreadable(path, 'decoding')} ({error})") from None
