"""The printed accuracies against chance and the commonest label."""

import csv
import json
from collections import Counter

import pytest
from places import ROOT
from scipy.stats import binom

from embedgrad.cli import main
from embedgrad.reporting.printed.chance import COLUMNS, chance_findings, read_labels
from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import UserError

PATH = ROOT / "config" / "chance.tsv"
PAPER = read_cells(ROOT / "config" / "cells.tsv")


def test_what_the_printed_numbers_say_of_themselves():
    found = {one.where: one for one in chance_findings(PAPER, read_labels(PATH))}
    assert len(found) == 2 * 14
    after = found["imdb/qwen2.5-0.5b-instruct/after"]
    # 29 of 84 on two classes, after optimisation: below a coin. Twice the lower tail, written out.
    assert "below chance, 50.0 % (p = 0.006)" in after.sentence
    assert 2 * binom.cdf(29, 84, 0.5) == pytest.approx(0.006, abs=1e-4)
    assert not after.holds
    before = found["medd/qwen2.5-0.5b-instruct/before"]
    # 16.03 % of eight classes: above chance, and no more than always "calm".
    assert "(assumed: half of the data set)" in before.sentence
    assert "above chance, 12.5 %" in before.sentence
    assert "not apart from always 'calm', 17.0 %" in before.sentence
    assert found["medd/qwen2.5-0.5b-instruct/after"].holds
    assert "not apart from always 'Yes', 52.1 %" in found["causal_judgment/qwen2.5-0.5b-instruct/after"].sentence


def test_the_shares_are_those_of_the_data(mirror):
    labels = read_labels(PATH)
    with (mirror / "data/medd.jsonl").open(encoding="utf-8") as lines:
        emotions = Counter(json.loads(line)["emotion"] for line in lines)
    assert labels["medd"].count == max(emotions.values())
    assert (labels["medd"].items, labels["medd"].classes) == (emotions.total(), len(emotions))
    examples = json.loads((mirror / "data/causal_judgment.json").read_text(encoding="utf-8"))["examples"]
    yes = sum(one["target_scores"]["Yes"] == 1 for one in examples)
    assert (labels["causal_judgment"].count, labels["causal_judgment"].items) == (yes, len(examples))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a\ttwo\tYes\t9\t10\ts", "chance.tsv:2: classes, count and items must be whole numbers"),
        ("a\t2\tYes\t11\t10\ts", "11 of 10 items cannot be the commonest of 2 classes"),
        ("a\t2\tYes\t4\t10\ts", "4 of 10 items cannot be the commonest of 2 classes"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, reason):
    path = tmp_path / "chance.tsv"
    path.write_text("\t".join(COLUMNS) + "\n" + line + "\n")
    with pytest.raises(UserError, match=reason):
        read_labels(path)


def test_the_command_adds_them(tmp_path, capsys):
    flags = ["--paper-table", str(ROOT / "config/cells.tsv"), "--claims", str(ROOT / "config/claims.tsv")]
    assert main(["audit", *flags, "--chance", str(PATH), "--out-folder", str(tmp_path)]) == 0
    with (tmp_path / "audit.csv").open(encoding="utf-8", newline="") as lines:
        assert sum(row["check"] == "above chance" for row in csv.DictReader(lines)) == 28
    assert "## Above chance" in (tmp_path / "audit.md").read_text(encoding="utf-8")
