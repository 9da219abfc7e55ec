"""What a prompt file says of its model and of how its answers are checked; it may have been changed since."""

from pathlib import Path

from embedgrad.grading import Grading
from embedgrad_core.files import UserError
from embedgrad_core.prompt_header import check_field, recorded_model
from evaluators import EVALUATORS
from evaluators.boxed_math import FIRST, LAST

_WORD = {"type": "string", "pattern": r"\S"}
_WORDS = {"type": "object", "additionalProperties": _WORD}
_LABELS = {"labels": {"type": "array", "minItems": 2, "items": _WORD}, "synonyms": _WORDS | {"propertyNames": _WORD}}
GRADING = {
    "type": "object",
    "required": ["evaluator", "options"],
    "properties": {
        "evaluator": {"enum": [*EVALUATORS]},
        "options": {
            "type": "object",
            "properties": _LABELS | {"box": {"enum": [LAST, FIRST]}},
            "additionalProperties": False,
        },
        "strict": {"type": "boolean"},
        "numbers": _WORDS,
    },
    "additionalProperties": False,
    "allOf": [
        {
            "if": {"properties": {"evaluator": {"const": "label"}}},
            "then": {"properties": {"options": {"required": ["labels"]}}},
            "else": {"properties": {"options": {"properties": {"labels": False, "synonyms": False}}}},
        },
        {
            "if": {"properties": {"evaluator": {"const": "boxed_math"}}},
            "else": {"properties": {"options": {"properties": {"box": False}}}},
        },
    ],
}


def stored_model(path: str | Path, header: dict, name: str | None, revision: str | None) -> tuple[str, str]:
    """Name and revision of the model to load for a prompt file: as given, else as its header records them.

    Raises:
        UserError: neither names a model.
    """
    name, revision = recorded_model(header, name, revision)
    if not name:
        raise UserError(f"{path}: does not say which model it was made for; name it (--model).")
    return name, revision


def stored_grading(path: str | Path, header: dict) -> Grading | None:
    """The evaluator and its options in a prompt file's header, or None.

    Raises:
        UserError: it is not what the suite writes there, or more labels than can be looked for in an answer.
    """
    kept = header.get("grading")
    if not kept:
        return None
    check_field(path, header, "grading", GRADING)
    try:
        return Grading(**kept)
    except UserError as error:
        raise UserError(f"{path}: key 'grading' of its header: {error}") from None
