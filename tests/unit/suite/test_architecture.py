"""The house's arrows: who may import whom."""

import ast
import re

import pytest
from places import ROOT

# What each part may import of the house, the longest name first where one lies inside another. The commands alone know all; the
# workflow goes through the command.
ARROWS = {
    "evaluators": set(),
    "embedgrad_core.files": set(),
    "embedgrad_core": {"embedgrad_core.files"},
    "embedgrad.files": {"embedgrad_core.files"},
    "embedgrad.reporting": {"embedgrad_core.files", "embedgrad.files"},
    "embedgrad.tasks": {"embedgrad_core.files", "embedgrad.files", "evaluators"},
    "embedgrad.probes": {
        "embedgrad_core",
        "embedgrad_core.files",
        "embedgrad.files",
        "embedgrad.reporting",
        "embedgrad.tasks",
        "embedgrad",
    },
}
# Heavy or foreign packages that a part of the house must do without.
FORBIDDEN = {
    "embedgrad_core.files": {"torch", "transformers", "pandas"},
    "evaluators": {"torch", "transformers"},
    "embedgrad.files": {"torch", "transformers"},
    "embedgrad.reporting": {"torch", "transformers"},
    "embedgrad.probes": {"argparse", "snakemake"},
    "embedgrad_core": {"datasets", "snakemake", "lm_eval"},
}
PARTS = sorted({*ARROWS, "embedgrad", "embedgrad.commands", "workflow"}, key=len, reverse=True)
# They hand out names of their own modules, each looked up when it is first asked for.
FACADES = {"embedgrad", "embedgrad_core"}
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


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def circles(graph):
    """The first circle of a graph of names, or an empty list."""
    done = set()

    def walk(name, way):
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        found = next(filter(None, (walk(other, [*way, name]) for other in sorted(graph[name]))), [])
        done.add(name)
        return found

    return next(filter(None, (walk(name, []) for name in sorted(graph))), [])


def test_no_module_imports_itself_in_a_circle():
    """Imports inside functions and for type checkers count too: they hide a circle, they do not open it."""
    paths = {
        module_of(path): path
        for package in ("evaluators", "embedgrad_core", "embedgrad")
        for path in (ROOT / package).rglob("*.py")
    }
    graph = {}
    for name, path in paths.items():
        found = set()
        for one in imports(path):
            # ``from package import module`` and ``from module import name`` look alike; a package's own names are its __init__'s.
            found.add(one if one in paths else one.rpartition(".")[0])
        graph[name] = {one for one in found if one in paths and one != name} - FACADES
    for facade in FACADES:
        del graph[facade]
    assert circles(graph) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


def test_no_file_is_too_long_to_read_in_one_sitting():
    for package in ("evaluators", "embedgrad_core", "embedgrad", "tests", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            most = 300 if package == "tests" else 350
            assert len(path.read_text(encoding="utf-8").splitlines()) <= most, path


@pytest.mark.parametrize("part", ["embedgrad_core", "evaluators", "embedgrad", "workflow", "tests", "benchmarks"])
def test_no_folder_holds_more_than_fifteen_files(part):
    folders = {path for path in (ROOT / part).rglob("*") if path.is_dir()} | {ROOT / part}
    for folder in folders - {ROOT / "embedgrad/commands"}:  # a file for each subcommand
        files = [path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
        assert "__pycache__" in folder.parts or len(files) <= 15, (folder, files)


def test_each_test_lies_in_a_tier():
    tiers = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    assert tiers == {"unit", "system", "faults"}


def test_the_pages_name_only_files_that_are_there():
    """Paths of tests and benchmarks; CONTRIBUTING.md has its readers write one, and CHANGELOG.md tells of what was."""
    pages = [path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if path.name != "CHANGELOG.md"]
    named = {
        (page.name, name)
        for page in pages
        for name in re.findall(r"(?:tests|benchmarks)/[\w/]+\.\w+", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 30
    gone = {(page, name) for page, name in named if not (ROOT / name).exists()}
    assert gone == {("CONTRIBUTING.md", "tests/unit/evaluators/test_last_line.py")}
