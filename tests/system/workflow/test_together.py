"""A run whose jobs share a process that keeps its model."""

import re

import pytest
from commands import snakemake
from disturb import processes, results

pytestmark = pytest.mark.workflow


def test_a_run_has_the_results_of_jobs_apart_and_loads_its_model_once(checkout, small_run):
    """On a machine without a GPU: `device: auto` asks for one and computes on the CPU."""
    (checkout / "more.yaml").write_text("run: small\ndevice: auto\ncell_jobs: together\n")
    run = snakemake(checkout, "--configfile", "tests/configs/small.yaml", "more.yaml")
    assert run.returncode == 0, run.stderr
    assert not [line for line in processes(checkout).values() if "-m embedgrad" in line], "it ends with the run"
    assert results(checkout) == results(small_run)
    assert (loads(checkout), loads(small_run)) == (1, 10)


def loads(folder):
    """How often a process loaded the model, by the logs."""
    logs = (folder / "results/small/logs").rglob("*.log")
    return sum(bool(re.search(r": device cpu: ", path.read_text())) for path in logs)
