"""Who holds a run, and what its jobs do when another start has taken it over."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT

from contracts import UserError, write_json
from embedgrad import cluster, run_lock

HOLD = """
import os, sys
from embedgrad import run_lock
print(run_lock.hold("small"), os.environ.get(run_lock.START), flush=True)
sys.stdin.read()
"""


def holding(folder):
    """A process that holds the run in ``folder`` (or fails to), and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    held, start = process.stdout.readline().strip().split(" ", 1)
    return process, held == "True", start


def test_a_job_of_an_earlier_start_refuses_to_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, held, start = holding(tmp_path)
    assert held
    monkeypatch.setenv(run_lock.START, start)
    run_lock.belongs("small")
    second, held, _ = holding(tmp_path)  # turned away: the first one's jobs work on
    assert not held
    run_lock.belongs("small")
    first.kill()
    first.wait()
    run_lock.belongs("small")  # killed, and nobody came after it
    third, held, _ = holding(tmp_path)
    assert held
    with pytest.raises(
        UserError, match=rf"of an earlier start \({re.escape(start)}\); the run is now made by process {third.pid}"
    ):
        run_lock.belongs("small")
    monkeypatch.delenv(run_lock.START)
    run_lock.belongs("small")  # by hand, or where no environment is handed on
    for process in (second, third):
        process.stdin.close()
        process.wait()


def test_a_run_that_slurm_may_still_be_making_is_not_started_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # no squeue
    cluster.take_over("small", None)
    write_json(".snakemake/embedgrad.small.slurm", {"name": "embedgrad_1234"})
    with pytest.raises(UserError, match=r"Slurm jobs named embedgrad_1234, which may be at work still"):
        cluster.take_over("small", None)
    cluster.finished("small")  # cannot ask either, and leaves it to the next start
    with pytest.raises(UserError, match="may be at work still"):
        cluster.take_over("small", None)
    with pytest.raises(UserError, match="no sbatch on this machine"):
        cluster.check_partitions(["gpu"], "partitions.yaml")
    # A squeue that fails is no sign that nothing is left.
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2\nexit 1\n")
    squeue.chmod(0o755)
    write_json(".snakemake/embedgrad.small.slurm", {"name": "embedgrad_1234"})
    with pytest.raises(UserError, match=r"squeue failed \(slurm_load_jobs error: .*\); is Slurm up\?"):
        cluster.take_over("small", "embedgrad_5678")
    assert "1234" in (tmp_path / ".snakemake/embedgrad.small.slurm").read_text()


def test_the_end_of_a_start_forgets_its_jobs_only_when_they_are_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    record = tmp_path / ".snakemake/embedgrad.small.slurm"
    squeue = tmp_path / "squeue"
    for told, kept in (("17\\n18", True), ("", False)):  # two that are still saving behind Ctrl-C; none
        write_json(".snakemake/embedgrad.small.slurm", {"name": "embedgrad_1234"})
        squeue.write_text(f"#!/bin/sh\n[ $3 = embedgrad_1234 ] && printf '{told}'\nexit 0\n")
        squeue.chmod(0o755)
        cluster.finished("small", seconds=0)
        assert record.exists() is kept


class Fits:
    """A partition that takes so many minutes."""

    def __init__(self, minutes):
        self.minutes = minutes

    def score_job_fit(self, job):
        return 1.0 if job.resources["runtime"] <= self.minutes else None


def test_a_job_that_fits_no_partition_is_named():
    job = SimpleNamespace(name="answers-qwen", threads=4, resources={"gpu": 1, "mem_mb": 9000, "runtime": 300})
    cluster.check_fit([job], [Fits(60), Fits(300)], "partitions.yaml")
    told = r"partitions.yaml: no partition takes answers-qwen \(gpu 1, mem_mb 9000, runtime 300, 4 threads; runtime in minutes\)"
    with pytest.raises(UserError, match=told):
        cluster.check_fit([job], [Fits(60), Fits(299)], "partitions.yaml")
