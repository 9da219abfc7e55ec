"""A configuration against its JSON schema, with one sentence for what does not fit."""

import difflib
import functools
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import yaml

from embedgrad_core.files import UserError

SCHEMA = Path(__file__).parent / "config.schema.yaml"


def check_schema(values: Mapping, source: str) -> None:
    """Hold ``values`` against the schema.

    Raises:
        UserError: an unknown or missing key or a bad value; names the key and says what is allowed.
    """
    try:
        errors = sorted(_validator().iter_errors(values), key=lambda error: list(error.path))
    # jsonschema writes the number into its message, and Python refuses to write thousands of digits.
    except ValueError:
        raise UserError(f"{source}: a number has more digits than Python writes; give a smaller one.") from None
    if errors:
        raise UserError(_sentence(errors[0], source))


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    """Made once: reading the schema takes longer than holding a configuration against it."""
    return jsonschema.Draft202012Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


def _sentence(error: jsonschema.ValidationError, source: str) -> str:
    """One sentence for a schema error: the key, what is wrong, what is allowed."""
    where = ".".join(map(str, error.path)) or "top level"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        near = difflib.get_close_matches(unknown, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(known)}."
        prefix = f"{where}." if error.path else ""
        return f"{source}: unknown key {prefix + unknown!r}; {hint}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"{source}: key {missing!r} is missing at {where}."
    if error.validator == "oneOf":
        return f"{source}: {where} needs exactly one of hub, folder and pretrain."
    return f"{source}: {where}: {error.message}."
