"""README shows the kept tables of the laptop run, and opens with them."""

import csv
import re

from places import ROOT

BLOCK = re.compile(r"<!-- (docs/laptop/\S+) -->\n(.*?)<!-- end -->\n", re.DOTALL)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readmes_tables_are_the_kept_files():
    found = BLOCK.findall(README)
    assert [name for name, _ in found] == ["docs/laptop/against_best.md"]
    for name, block in found:
        assert block.strip() == (ROOT / name).read_text(encoding="utf-8").strip(), name


def test_readme_opens_with_the_real_models():
    assert re.findall(r"^## (.*)$", README, re.MULTILINE)[0] == "What it did to small real models"
    assert "docs/findings.md" in README.split("## Two commands")[0]


def test_the_kept_tables_agree_with_each_other():
    """Each line of the table in README is a line of ladder.csv and of table2.csv, which were written by other commands."""
    with (ROOT / "docs/laptop/ladder.csv").open(encoding="utf-8", newline="") as lines:
        ladder = {(row["dataset"], row["model"]): row for row in csv.DictReader(lines)}
    with (ROOT / "docs/laptop/table2.csv").open(encoding="utf-8", newline="") as lines:
        table = {(row["dataset"], row["model"]): row for row in csv.DictReader(lines) if row["status"] != "missing"}
    shown = [
        [field.strip() for field in line.strip("|").split("|")]
        for line in (ROOT / "docs/laptop/against_best.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ][2:]
    assert {(line[0], line[1]) for line in shown} == ladder.keys()
    assert ladder.keys() <= table.keys()
    for line in shown:
        one, other = ladder[line[0], line[1]], table[line[0], line[1]]
        assert line[2] == one["n"] == other["n"]
        assert float(line[3]) == round(float(one["before"]), 1)
        assert abs(float(one["before"]) - 100 * float(other["before_accuracy"])) < 0.01
        assert abs(float(one["optimised"]) - 100 * float(other["after_accuracy_mean"])) < 0.01
        assert abs(float(one["gain"]) - float(other["gain_points"])) < 0.01
        assert abs(float(one["p"]) - float(other["gain_p"])) < 1e-9
