"""The house's arrows: who may import whom."""

import ast

import pytest
from conftest import ROOT

PACKAGES = {"contracts", "evaluators", "tasks", "reporting", "embedgrad_core", "embedgrad", "workflow", "baselines"}
# What each package may import of the house. The command alone knows all; the workflow goes through the command.
ARROWS = {
    "contracts": set(),
    "evaluators": set(),
    "tasks": {"contracts", "evaluators"},
    "reporting": {"contracts"},
    "embedgrad_core": {"contracts"},
    "embedgrad": {"contracts", "evaluators", "tasks", "reporting", "embedgrad_core"},
}
# Heavy or foreign packages that a part of the house must do without.
FORBIDDEN = {
    "contracts": {"torch", "transformers", "pandas"},
    "evaluators": {"torch", "transformers"},
    "reporting": {"torch", "transformers"},
    "embedgrad_core": {"datasets", "snakemake", "lm_eval"},
}
# The one bridge to lm-eval; nothing imports it.
LM_EVAL = ROOT / "embedgrad_core" / "lm_eval.py"


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", ARROWS)
def test_arrows_point_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        found = set(imports(path))
        assert found & PACKAGES <= ARROWS[package] | {package}, path
        if path != LM_EVAL:
            assert not found & FORBIDDEN.get(package, set()), path


def test_no_file_is_too_long_to_read_in_one_sitting():
    for package in (*ARROWS, "tests", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 350, path
