"""The house's arrows: who may import whom."""

import ast

import pytest
from conftest import ROOT

# What each part may import of the house, the longest name first where one lies inside another. The commands alone know all; the
# workflow goes through the command.
ARROWS = {
    "evaluators": set(),
    "embedgrad_core.files": set(),
    "embedgrad_core": {"embedgrad_core.files"},
    "embedgrad.files": {"embedgrad_core.files"},
    "embedgrad.reporting": {"embedgrad_core.files", "embedgrad.files"},
    "embedgrad.tasks": {"embedgrad_core.files", "embedgrad.files", "evaluators"},
}
# Heavy or foreign packages that a part of the house must do without.
FORBIDDEN = {
    "embedgrad_core.files": {"torch", "transformers", "pandas"},
    "evaluators": {"torch", "transformers"},
    "embedgrad.files": {"torch", "transformers"},
    "embedgrad.reporting": {"torch", "transformers"},
    "embedgrad_core": {"datasets", "snakemake", "lm_eval"},
}
PARTS = sorted({*ARROWS, "embedgrad", "workflow"}, key=len, reverse=True)
# The one bridge to lm-eval; nothing else of the core imports it.
LM_EVAL = ROOT / "embedgrad_core" / "lm_eval"


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(name):
    """The part of the house that a dotted name lies in, or None."""
    return next((part for part in PARTS if f"{name}.".startswith(f"{part}.")), None)


def files_of(part):
    """The files of a part, those of the parts inside it left out."""
    found = (ROOT / part.replace(".", "/")).rglob("*.py")
    return [path for path in found if part_of(".".join(path.relative_to(ROOT).with_suffix("").parts)) == part]


@pytest.mark.parametrize("part", ARROWS)
def test_arrows_point_one_way(part):
    files = files_of(part)
    assert files
    for path in files:
        found = set(imports(path))
        assert {part_of(name) for name in found} - {None, part} <= ARROWS[part], path
        if LM_EVAL not in path.parents:
            assert not {name.split(".")[0] for name in found} & FORBIDDEN.get(part, set()), path


def test_no_file_is_too_long_to_read_in_one_sitting():
    for package in ("evaluators", "embedgrad_core", "embedgrad", "tests", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 350, path
