"""CONTRIBUTING.md is true: its files written, its changes applied and its commands run, in order, in a copy of the tree.

A block behind a line that is a path in backticks is that file; a ``diff`` is applied; ``sh`` is run as a reader would.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

from embedgrad_core.files import read_json

pytestmark = pytest.mark.workflow

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:^`(?P<path>[\w/.-]+)`:\n\n)?^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
PARTS = ("benchmarks", "config", "embedgrad", "embedgrad_core", "evaluators", "tests", "workflow")


def sections():
    """The blocks below each heading: path or None, kind, body."""
    for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        yield part.split("\n")[0], [(found["path"], found["kind"], found["body"]) for found in BLOCK.finditer(part)]


def carry_out(folder, path, kind, body, environment):
    """One block; returns what a command printed."""
    if path:
        assert not (folder / path).exists(), f"{path} is there already"
        (folder / path).write_text(body, encoding="utf-8")
        return ""
    if kind == "diff":
        command = ["git", "apply", "--verbose", "-"]
    elif kind == "sh":
        command = ["bash", "-euo", "pipefail"]
    else:
        return ""
    run = subprocess.run(
        command, input=body, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, f"{body}\n{run.stdout}\n{run.stderr}"
    return run.stdout + run.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy in which everything was done; and what the commands of each section printed."""
    folder = tmp_path_factory.mktemp("copy")
    for name in PARTS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "pyproject.toml", "environment.yml"):
        shutil.copy(ROOT / name, folder)
    (folder / "profiles").symlink_to("workflow/profiles")
    (folder / "bin").mkdir()
    # What an activated environment has on its path.
    for name, words in (("python", ""), ("embedgrad", " -m embedgrad")):
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        (folder / "bin" / name).chmod(0o755)
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "GIT_"))}
    environment |= {"PATH": path, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    # A folder of its own to git, so that changes are applied here and nowhere above.
    environment |= {"GIT_CEILING_DIRECTORIES": str(folder.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    told = {}
    for title, blocks in sections():
        told[title] = "".join(carry_out(folder, path, kind, body, environment) for path, kind, body in blocks)
    return folder, told


def test_every_block_is_of_a_known_kind():
    kinds = {kind if not path else "file" for _, blocks in sections() for path, kind, _ in blocks}
    assert kinds == {"", "file", "diff", "sh"}


def test_the_first_change_is_tested(tree):
    assert re.search(r"\d+ passed", tree[1]["Your first change, in ten minutes"])


def test_the_data_set_is_found_and_certified(tree):
    folder, told = tree
    certificate = read_json(folder / "results/mine/data/capitals/split.json")
    assert certificate["task"] == "capitals"
    assert sum(part["n"] for part in certificate["counts"].values()) == 12
    assert set(certificate["counts"]["test"]["by_class"]) == {"Africa", "Asia", "Europe"}
    assert {"data", "optimize", "metrics"} <= set(re.findall(r"^(\w+) +\d+$", told["A data set"], re.MULTILINE))


def test_the_grader_is_known_and_taken_by_the_data_set(tree):
    folder, told = tree
    assert "3 passed" in told["A grader"]
    code = (
        "import json; from embedgrad.grading import grading_of_task; g = grading_of_task('capitals'); "
        "print(json.dumps([g.evaluator, g.grade('I think so.\\nrome.', 'Rome').status]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(run.stdout) == ["last_line", "correct"]


def test_the_analysis_is_a_command(tree):
    folder, told = tree
    assert "openings: 1 before, 1 after" in told["An analysis"]
    assert read_json(folder / "openings.json")["after"] == {"n": 1, "different": 1, "most_common": [["sad", 1]]}


def test_the_rule_is_planned_behind_the_answers(tree):
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", tree[1]["A rule"], re.MULTILINE))
    assert jobs["openings"] == "1"
    assert {"before", "after", "optimize"} <= set(jobs)
    assert "metrics" not in jobs


@pytest.mark.parametrize(
    "words", [("ruff", "check"), ("ruff", "format", "--check"), ("snakefmt", "--check", "workflow")]
)
def test_what_the_text_adds_passes_the_linters(tree, words):
    tool = Path(sys.executable).with_name(words[0])
    run = subprocess.run([tool, *words[1:]], cwd=tree[0], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_readmes_tree_names_each_folder_and_nothing_that_is_gone():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = readme.split("## The tree")[1].split("```")[1]
    named = set(re.findall(r"[\w.-]+(?=/)", tree))
    packages = ("benchmarks", "embedgrad", "embedgrad_core", "evaluators", "workflow")
    inside = {path.parent.name for package in packages for path in (ROOT / package).rglob("*.*") if path.is_file()}
    inside -= {"__pycache__", "static", "slurm", "kubernetes", "default"}  # the profiles are named without a stroke
    assert inside <= named, inside - named
    files = set(re.findall(r"[\w.-]+\.(?:py|smk|yaml|md|lock)\b", tree)) - {"report.html"}
    there = {path.name for part in (*PARTS, "docs", ".") for path in (ROOT / part).glob("*")}
    there |= {path.name for package in (*packages, "tests") for path in (ROOT / package).rglob("*")}
    assert files <= there, files - there
    assert len(readme.splitlines()) <= 180
