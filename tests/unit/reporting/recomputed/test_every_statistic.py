"""No statistic without a second computation: tests/tables/statistics.tsv names one for every public function of these modules."""

import ast
import csv
import importlib
import inspect
from functools import cached_property

import pytest
from places import ROOT

MODULES = (
    "embedgrad.reporting.statistics",
    "embedgrad.reporting.verdicts.two_studies",
    "embedgrad.reporting.verdicts.rule",
    "embedgrad.reporting.recovery",
    "embedgrad.reporting.analyses",
    "embedgrad.reporting.sensitivity",
    "embedgrad.reporting.claims.measured",
    "embedgrad.reporting.printed.audit",
    "embedgrad.reporting.printed.chance",
    "embedgrad.probes.intervals",
    "embedgrad.probes.calibration",
    "embedgrad.probes.variance.components",
    "embedgrad.probes.variance.gain",
    "embedgrad.probes.variance.runs",
    "embedgrad.probes.contamination",
    "embedgrad.probes.trajectory",
    "embedgrad.probes.shuffled",
    "embedgrad.probes.transfer_matrix",
    "embedgrad.carry.compared",
)
NONE = "–"  # computes no statistic: reads, writes, words, draws


def rows():
    with (ROOT / "tests/tables/statistics.tsv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def public(module):
    """Names of a module's own public functions, and of its classes' methods and properties that are written there."""
    found = []
    for name, one in vars(importlib.import_module(module)).items():
        if name.startswith("_") or getattr(one, "__module__", None) != module:
            continue
        if inspect.isclass(one):
            kinds = (property, cached_property, classmethod, staticmethod)
            found += [
                f"{name}.{key}"
                for key, value in vars(one).items()
                if not key.startswith("_") and (inspect.isfunction(value) or isinstance(value, kinds))
            ]
        elif callable(one):
            found.append(name)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_public_function_is_in_the_table(module):
    listed = [row["name"] for row in rows() if row["module"] == module]
    assert len(listed) == len(set(listed))
    assert sorted(listed) == sorted(public(module))


def test_the_table_has_no_other_modules():
    assert {row["module"] for row in rows()} == set(MODULES)


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['module'].removeprefix('embedgrad.')}.{row['name']}")
def test_the_second_computation_is_there_and_is_of_this_function(row):
    if row["against"] == NONE:
        assert (row["test"], row["to"]) == (NONE, NONE)
        return
    path, name = row["test"].split("::")
    source = (ROOT / path).read_text(encoding="utf-8")
    tests = {one.name: one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef)}
    assert name in tests, f"{path} has no test {name}"
    wanted = row["name"].split(".")[-1]
    body = ast.get_source_segment(source, tests[name])
    # In the test itself, or in what builds its data beside it.
    assert wanted in body or any(
        wanted in ast.get_source_segment(source, one) and called in body for called, one in helpers(source)
    ), f"{path}::{name} does not use {wanted}"


def helpers(source):
    return [
        (one.name, one)
        for one in ast.parse(source).body
        if isinstance(one, ast.FunctionDef) and not one.name.startswith("test_")
    ]


def test_a_new_function_would_be_missed(monkeypatch):
    module = importlib.import_module(MODULES[0])

    def unheard_of():
        return 0

    unheard_of.__module__ = MODULES[0]
    monkeypatch.setattr(module, "unheard_of", unheard_of, raising=False)
    with pytest.raises(AssertionError):
        test_every_public_function_is_in_the_table(MODULES[0])
