"""Who holds a run, and what its jobs do when another start has taken it over."""

import os
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from disturb import DEAF, checkout, finish
from places import ROOT

from embedgrad.runtime import cluster, run_lock
from embedgrad_core.files import TEMPORARY, UserError, write_json

HOLD = """
import os, sys
from embedgrad.runtime import run_lock
print(run_lock.hold("small"), os.environ.get(run_lock.START), os.environ.get(run_lock.JOBS), sep="|", flush=True)
sys.stdin.read()
"""
JOB = f"""
import sys
from embedgrad.runtime import interruption, run_lock
interruption.GRACE = 1000.0
interruption.install()
run_lock.join()
{DEAF}
"""
SETTLE = """
import sys
from embedgrad_core.files import UserError
from embedgrad.runtime import run_lock
assert run_lock.hold("small")
print("holds", flush=True)
try:
    run_lock.settle("small", float(sys.argv[1]))
    print("settled")
except UserError as error:
    print(error)
"""
_started = []


@pytest.fixture(autouse=True)
def _nothing_is_left_at_work():
    """A test that fails ends its processes too: a job that hears nothing would hold a core for minutes."""
    yield
    while _started:
        process = _started.pop()
        process.kill()
        process.wait()


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
    _started.append(process)
    held, start, _ = process.stdout.readline().strip().split("|")
    return process, held == "True", start


def child(folder, code, *arguments, **environment):
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _started.append(process)
    return process


def test_a_job_that_outlives_its_snakemake_is_waited_for(tmp_path):
    """Its temporary files are its own until it has ended; a job of an earlier start that comes late refuses to work."""
    first, held, start = holding(tmp_path)
    assert held
    jobs = {"EMBEDGRAD_START": start, "EMBEDGRAD_JOBS": str(tmp_path / ".snakemake/embedgrad.small.jobs.lock")}
    job = child(tmp_path, JOB, EMBEDGRAD_PARENT=str(first.pid), **jobs)
    assert job.stdout.readline() == "at work\n"
    writing = tmp_path / f"results/small/mood/.after.jsonl.abcdefgh{TEMPORARY}"
    writing.parent.mkdir(parents=True)
    writing.touch()
    first.kill()
    first.wait()
    told, _ = child(tmp_path, SETTLE, 0.5).communicate(timeout=600)
    assert "jobs of an earlier start of run small are still at work in this folder" in told
    assert writing.exists()
    assert job.poll() is None
    waiting = child(tmp_path, SETTLE, 600)
    assert waiting.stdout.readline() == "holds\n"
    time.sleep(1)
    assert waiting.poll() is None
    assert writing.exists()
    job.kill()
    job.wait()
    assert waiting.communicate(timeout=600)[0] == "settled\n"
    assert not writing.exists()
    late = subprocess.run(
        [sys.executable, "-c", "import sys; from embedgrad.cli import entry; sys.exit(entry())", "table2", "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | jobs,
        capture_output=True,
        text=True,
        check=False,
    )
    assert late.returncode == 2
    assert re.match(r"embedgrad: this job is of an earlier start .* the run is now made by process", late.stderr)


def test_only_what_a_killed_start_left_is_removed(tmp_path):
    """Not another start's lock that is empty still, nor a user's file; in a dry run nothing at all."""
    locks, notes = tmp_path / ".snakemake/locks", tmp_path / "results/small/notes"
    locks.mkdir(parents=True)
    notes.mkdir(parents=True)
    texts = {"0.input": "", "1.input": "", "2.input": "results/other/x\n", "3.input": "results/small/x\n"}
    for name, text in texts.items():
        (locks / f"{name}.lock").write_text(text)
    os.utime(locks / "1.input.lock", (0, 0))
    (tmp_path / ".snakemake/embedgrad.small.lock").write_bytes(b"\xff\xfe")  # holder() must not stumble
    mine, rest = notes / ".mine.tmp", notes / f".x.json.abcdefgh{TEMPORARY}"
    mine.touch()
    rest.touch()

    def left(code):
        found = child(
            tmp_path, f"from embedgrad.runtime import run_lock\nrun_lock.holder('small')\n{code}"
        ).communicate(timeout=600)
        assert "Traceback" not in found[1]
        return sorted(path.name[0] for path in locks.iterdir()), mine.exists(), rest.exists()

    assert left("run_lock.hold('small', tidy=False)") == (["0", "1", "2", "3"], True, True)
    assert left("run_lock.hold('small')") == (["0", "2"], True, True)
    assert left("run_lock.hold('small'); run_lock.settle('small')") == (["0", "2"], True, False)


def test_where_locks_are_not_known_nothing_waits_or_is_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(run_lock.JOBS, raising=False)

    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(run_lock.fcntl, "flock", unsupported)
    rest = tmp_path / f"results/small/.x.abcdefgh{TEMPORARY}"
    rest.parent.mkdir(parents=True)
    rest.touch()
    run_lock.insist("small")
    run_lock.settle("small")
    assert rest.exists()


def test_a_dry_run_removes_nothing(tmp_path):
    folder = checkout(tmp_path / "dry")
    rest = folder / f"results/small/mood/.x.abcdefgh{TEMPORARY}"
    lock = folder / ".snakemake/locks/0.input.lock"
    for path, text in ((rest, ""), (lock, "results/small/table2.md\n")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    status, told = finish(folder, "tests/configs/small.yaml", "--dry-run")
    assert status == 0, told[-2000:]
    assert rest.exists()
    assert lock.exists()


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
    squeue.write_text("#!/bin/sh\necho ' ' >&2\nexit 3\n")  # and says nothing
    with pytest.raises(
        UserError, match=r"squeue failed \(Command .* returned non-zero exit status 3\.\); is Slurm up\?"
    ):
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
