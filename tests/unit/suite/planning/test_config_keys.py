"""config/README.md explains every key of a configuration: each has a row with its values and its default."""

import argparse
import inspect
import re
from collections.abc import Iterator
from dataclasses import asdict

import pytest
import yaml
from places import ROOT

from embedgrad.carry import effort
from embedgrad.commands.arguments import add_decoding_arguments
from embedgrad.demo_models import pretrain
from embedgrad.planning.effort.probes import probe_sizes
from embedgrad.tasks import TASKS
from embedgrad_core import Settings

README = (ROOT / "config/README.md").read_text(encoding="utf-8")
SCHEMA = yaml.safe_load((ROOT / "embedgrad/schemas/config.schema.yaml").read_text(encoding="utf-8"))
# They hold keys alone, each with a row; that they are there at all asks for something.
PARTS = {"sensitivity", "rivals", "carry", "models.<name>.pretrain"}


def keys(schema: dict, path: str = "") -> Iterator[tuple[str, dict]]:
    """Every key with a value of its own, by its whole path, and its schema; a task's layout has the keys of the run's."""
    named = schema.get("additionalProperties")
    if path != "tasks.<name>.layout" and "properties" in schema:
        for name, inner in schema["properties"].items():
            yield from keys(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(named, dict):
        yield from keys(named, f"{path}.<name>")
    else:
        yield path, schema


def rows() -> Iterator[tuple[list[str], str, str]]:
    """Keys, meaning and default of each row of the tables of keys."""
    for line in README.partition("## Keys")[2].partition("\n## ")[0].splitlines():
        if line.startswith("| `"):
            names, meaning, default = line.strip("| ").split(" | ")
            yield re.findall(r"`([^`]+)`", names), meaning, default


EXPLAINED = {name: (meaning, default) for names, meaning, default in rows() for name in names}


def test_every_key_has_a_row_and_every_row_a_key():
    known = [path for path, _ in keys(SCHEMA)]
    assert len(known) > 90
    assert set(EXPLAINED) - PARTS == set(known)
    assert set(EXPLAINED) >= PARTS
    assert all(meaning and default for meaning, default in EXPLAINED.values())


def test_a_row_names_every_value_that_a_key_may_have():
    chosen = 0
    for path, schema in keys(SCHEMA):
        for part in (schema, schema.get("items", {}), *schema.get("anyOf", ())):
            values = part.get("enum", [part["const"]] if "const" in part else [])
            chosen += len(values)
            meaning = EXPLAINED[path][0]
            assert all(f"`{str(value).lower() if isinstance(value, bool) else value}" in meaning for value in values), (
                path
            )
    assert chosen > 60


def decoding_defaults() -> dict:
    """What the commands take where a flag is left out."""
    add_decoding_arguments(parser := argparse.ArgumentParser())
    found = vars(parser.parse_args([]))
    names = ("stop_rule", "engine", "loop_repeats", "loop_tokens")
    return {"batch_size": found["decode_batch_size"], **{name: found[name] for name in names}}


def defaults() -> dict[str, dict]:
    """Defaults by the code, as ``section → key → value``; what no key means (the rate) is left out."""
    from_table = {"learning_rate", "epochs", "seed"}
    pretrained = inspect.signature(pretrain).parameters.values()
    loads = [inspect.signature(task.load).parameters.items() for task in TASKS.values()]
    return {
        "optimize": {k: v for k, v in asdict(Settings()).items() if k not in from_table and v is not None},
        "decode": decoding_defaults(),
        "carry": {
            name: getattr(effort, name.upper())
            for name in ("steps", "controls", "budget", "answer_tokens", "candidates")
        },
        "probe_sizes": probe_sizes({}),
        "models.<name>.pretrain": {
            one.name: one.default for one in pretrained if f"models.<name>.pretrain.{one.name}" in EXPLAINED
        },
        "tasks.<name>.options": {
            k: v.default for load in loads for k, v in load if k not in ("mirror", "revision", "target")
        },
    }


@pytest.mark.parametrize(("section", "values"), defaults().items(), ids=defaults())
def test_the_defaults_are_those_of_the_code(section, values):
    assert values
    for name, value in values.items():
        shown = (
            str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, int | float) else value
        )
        default = EXPLAINED[f"{section}.{name}"][1]
        assert shown in re.findall(r"[\w.]+", default), (section, name, default)
