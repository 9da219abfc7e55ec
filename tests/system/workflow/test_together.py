"""A run whose jobs share a process that keeps its model."""

import re

import pytest
from commands import snakemake
from disturb import processes, results

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize(("device", "most"), [("auto", 1), ("cpu", 2)])
def test_a_run_has_the_results_of_jobs_apart_and_loads_its_model_once(checkout, small_run, device, most):
    """On a machine without a GPU, `device: auto` asks for one and computes on the CPU; of `cpu` two jobs run at a time."""
    (checkout / "more.yaml").write_text(f"run: small\ndevice: {device}\ncell_jobs: together\n")
    run = snakemake(checkout, "--configfile", "tests/configs/small.yaml", "more.yaml")
    assert run.returncode == 0, run.stderr
    assert not [line for line in processes(checkout).values() if "-m embedgrad" in line], "it ends with the run"
    assert results(checkout) == results(small_run)
    assert 1 <= loads(checkout) <= most
    assert loads(small_run) == 10


def loads(folder):
    """How often a process loaded the model, by the logs."""
    logs = (folder / "results/small/logs").rglob("*.log")
    return sum(bool(re.search(r": device cpu: ", path.read_text())) for path in logs)
