"""A run whose jobs share a process that keeps its model."""

import re

import pytest
from commands import snakemake
from disturb import processes, results

pytestmark = pytest.mark.workflow


def test_a_run_has_the_results_of_jobs_apart_and_loads_its_model_once(checkout):
    """On a machine without a GPU: `device: auto` asks for one and computes on the CPU."""
    found, loads = [], []
    for kind in ("together", "apart"):
        (checkout / "more.yaml").write_text(f"run: small\ndevice: auto\ncell_jobs: {kind}\n")
        run = snakemake(checkout, "--forceall", "--configfile", "tests/configs/small.yaml", "more.yaml")
        assert run.returncode == 0, run.stderr
        found.append(results(checkout))
        logs = [path.read_text() for path in (checkout / "results/small/logs").rglob("*.log")]
        loads.append(sum(bool(re.search(r"device cpu: no CUDA device", text)) for text in logs))
        assert not [line for line in processes(checkout).values() if "-m embedgrad" in line], "it ends with the run"
    assert found[0] == found[1]
    assert loads == [1, 10]
