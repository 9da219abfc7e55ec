"""A configuration against its JSON schema, with one sentence for what does not fit."""

import copy
import difflib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from embedgrad_core.files import UserError

SCHEMA = Path(__file__).parent / "config.schema.yaml"


def check_schema(values: Mapping, source: str) -> Mapping:
    """Hold ``values`` against the schema.

    Snakemake reads all that is nested in ``--config 'split={seed: 7}'`` as text. Where the schema wants a number, a truth value or
    null in such a place, the text is read as YAML would read it in a file.

    Returns:
        The values, with those types.

    Raises:
        UserError: an unknown or missing key or a bad value; names the key and says what is allowed.
    """
    try:
        errors = _errors(values)
        if errors and (read := list(_read_from_text(errors))):
            values = copy.deepcopy(dict(values))
            for path, value in read:
                _place(values, path, value)
            errors = _errors(values)
    # jsonschema writes the number into its message, and Python refuses to write thousands of digits.
    except ValueError:
        raise UserError(f"{source}: a number has more digits than Python writes; give a smaller one.") from None
    if errors:
        raise UserError(_sentence(errors[0], source))
    return values


def _errors(values: Mapping) -> list[jsonschema.ValidationError]:
    return sorted(_validator().iter_errors(values), key=lambda error: list(error.path))


# What YAML writes in one way alone: 010 would be 8, 0_1 would be 1.
_SIMPLE = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,18})?(e[-+]\d{1,3})?|true|false|null")


def _read_from_text(errors: Iterable[jsonschema.ValidationError]) -> Iterator[tuple[list[str | int], Any]]:
    """Where text stands that is of another type which the schema wants there, and that value."""
    for error in errors:
        yield from _read_from_text(error.context or ())
        text = error.instance
        if error.validator != "type" or not isinstance(text, str) or not _SIMPLE.fullmatch(text):
            continue
        value, wanted = yaml.safe_load(text), error.validator_value
        if any(_validator().is_type(value, one) for one in ([wanted] if isinstance(wanted, str) else wanted)):
            yield list(error.absolute_path), value


def _place(values: Any, path: Sequence[str | int], value: Any) -> None:
    *parents, last = path
    for key in parents:
        values = values[key]
    values[last] = value


def hint(name: str, known: Iterable[str], has: str = "it has") -> str:
    """What may have been meant: names that begin with ``name``, else the nearest one, else all that are ``known``."""
    names = list(known)
    begun = [one for one in names if name and one.startswith(name)][:3]
    near = begun or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"{has} {', '.join(names)}."


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
        prefix = f"{where}." if error.path else ""
        return f"{source}: unknown key {prefix + unknown!r}; {hint(unknown, known, 'allowed are')}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        part = (
            ""
            if error.path
            else " Does the file go on top of another one (its first lines say which)? --configfile A B."
        )
        return f"{source}: key {missing!r} is missing at {where}.{part}"
    if error.validator == "oneOf":
        return f"{source}: {where} needs exactly one of hub, folder and pretrain."
    said = error.message if len(error.message) < 400 else f"{error.message[:200]}…{error.message[-100:]}"
    sentence = f"{source}: {where}: {said}"
    if error.validator == "enum" and isinstance(error.instance, str):
        known = [one for one in error.validator_value if isinstance(one, str)]
        meant = hint(error.instance, known)
        return f"{sentence}; {meant}" if meant.startswith("did") else f"{sentence}."
    if error.validator == "type" and isinstance(error.instance, str) and (number := _number_in_text(error.instance)):
        return f"{sentence}; YAML reads {error.instance} as text, write {number}."
    return f"{sentence}."


def _number_in_text(text: str) -> str:
    """How a number is written that YAML 1.1 takes for text: its exponents need a point before them and a sign behind the e."""
    found = re.fullmatch(r"([-+]?\d{1,20})(\.\d{0,20})?[eE]([-+]?)(\d{1,2})", text)
    if not found or not isinstance(yaml.safe_load(text), str):
        return ""
    whole, part, sign, exponent = found.groups()
    return f"{whole}{part or '.0'}e{sign or '+'}{exponent} or {Decimal(text):f}"
