"""The forecast of memory against what processes really take: two small sizes; benchmarks/memory.py has the others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")


def test_forecasts_lie_within_15_percent_of_measured_peaks(tmp_path):
    out = tmp_path / "memory.json"
    command = ["benchmarks/memory.py", "--sizes", "7m", "25m", "--phases", "step", "decode", "--threads", "1"]
    run = subprocess.run(
        [sys.executable, *command, "--json", str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=400,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    rows = json.loads(out.read_text())["rows"]
    assert [(row["size"], row["phase"]) for row in rows] == [(s, p) for s in ("7m", "25m") for p in ("step", "decode")]
    for row in rows:
        assert row["ratio"] == pytest.approx(1, abs=0.15), row
