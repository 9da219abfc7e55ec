"""CONTRIBUTING.md's ways through the code: at most four files each, and each function calls the one that it names next."""

import ast
import re
from itertools import pairwise

import pytest
from places import ROOT

WAYS = [
    re.findall(r"`([\w./]+\.(?:md|py))`(?: \(([^)]*)\))?", line)
    for line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| a ")
]


def definition(file, name):
    """The function or class of a file that has this name."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    (found,) = (one for one in tree.body if getattr(one, "name", None) == name)
    return found


@pytest.mark.parametrize("way", WAYS, ids=["step", "answer"])
def test_the_way_is_short_and_each_step_leads_to_the_next(way):
    (readme, _), *files = way
    assert readme == "README.md"
    assert 2 <= len(files) <= 3
    package, folder, _ = files[0][0].split("/")
    tree = (ROOT / readme).read_text(encoding="utf-8").partition("## The tree")[2]
    assert f"\n{package}/ " in tree
    assert f" {folder}/" in tree
    steps = [(file, name) for file, names in files for name in re.findall(r"\w+", names)]
    assert len(steps) >= len(files)
    for (file, name), (_, following) in pairwise(steps):
        inside = {getattr(node, "id", getattr(node, "attr", None)) for node in ast.walk(definition(file, name))}
        assert following in inside, f"{file}: {name} does not call {following}"
    definition(*steps[-1])
