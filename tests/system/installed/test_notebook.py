"""The quickstart notebook as a script: what it imports and calls is there, and its own assertions hold."""

import json
import os
import subprocess
import sys

from places import ROOT


def test_the_quickstart_runs_from_its_first_cell_to_its_last(tmp_path):
    cells = json.loads((ROOT / "docs/quickstart.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert code.count("assert ") == 2
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    environment["TMPDIR"] = str(tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "exact McNemar p =" in run.stdout
