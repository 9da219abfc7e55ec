"""Files damaged at random, through the readers of the suite."""

import json
import subprocess
import sys

import pytest
from budget import times
from places import ROOT
from specimens import KINDS

MUTANTS = times(100)  # of each kind


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EMBEDGRAD_MIRROR", raising=False)


def test_mutants_are_read_or_refused(tmp_path):
    """The CI-size run of tests/faults/mutate.py; docs/reliability.md has the whole."""
    command = [sys.executable, str(ROOT / "tests/faults/mutate.py"), "--mutants", str(MUTANTS)]
    command += ["--seed", "1", "--cores", "2"]
    ran = subprocess.run(
        [*command, "--json", str(tmp_path / "report.json")],
        capture_output=True,
        text=True,
        timeout=600 + MUTANTS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3_000:] + ran.stderr[-3_000:]
    reports = json.loads((tmp_path / "report.json").read_text())
    assert [report["kind"] for report in reports] == list(KINDS)
    for report in reports:
        assert report["faults"] == []
        assert report["unpickled"] == 0
        assert report["read"] + report["refused"] == MUTANTS
        assert report["refused"] > 0.08 * MUTANTS, "mutants that all pass test nothing"
        assert report["slowest"] < 2
