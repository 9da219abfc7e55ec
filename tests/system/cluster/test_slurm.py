"""The DAG on a real Slurm: the same tables as on one machine, whatever happens to jobs, node and Snakemake.

Root and Debian's Slurm are needed (``tests/support/slurm_here.py``); two fake GPUs are dealt out by the real scheduler.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from disturb import SNAKEMAKE, checkout, completed, finish, leftovers, results, start
from places import ROOT
from slurm_here import MUNGE_PID, missing, munge_answers, slurm

CONFIG = "tests/configs/small.yaml"
CLUSTER = ("--profile", "workflow/profiles/slurm", "--slurm-init-seconds-before-status-checks", "2")
# Without a GPU each job runs on the CPU all the same, but asks for one.
CARDS = ("--config", "device=auto")
# All that loads a model, and two jobs that read the whole folder. Figures and page are ten more of that kind, and
# `benchmarks/scheduling/slurm.py` runs all of the demo through Slurm.
TABLES = ("--", "results/small/table2.csv", "results/small/ladder.csv")
pytestmark = [pytest.mark.faults, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]


@pytest.fixture(scope="module")
def whole(small_run):
    """What the run on one machine alone makes of the tables' files."""
    return results(small_run)


def told(folder):
    return (folder / "output.log").read_text()


def check_results(folder, whole):
    found = results(folder)
    assert set(TABLES[1:]) <= found.keys()
    assert found == {name: whole.get(name) for name in found}


def test_a_slurm_starts_where_one_was_killed():
    was_there = munge_answers()
    holder = "import time; from slurm_here import slurm\nwith slurm(): print('up', flush=True), time.sleep(300)"
    with subprocess.Popen(
        [sys.executable, "-c", holder], cwd=ROOT / "tests/support", stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "up\n"
        process.kill()
    if not was_there:  # its socket stays behind
        os.kill(int(MUNGE_PID.read_text()), signal.SIGKILL)
    with slurm() as here:
        assert here.running() == []


def test_the_tables_are_those_of_one_machine_and_no_card_is_shared(whole, tmp_path):
    folder = checkout(tmp_path / "cluster")
    with slurm() as here:
        # As if the model needed two GPUs to be trained.
        process = start(folder, CONFIG, *CLUSTER, *CARDS, "--set-resources", "optimize:gpu=2", *TABLES)
        seen = {}
        while process.poll() is None:
            at_work = [job for job in here.jobs() if job.state == "RUNNING"]
            gpus = [gpu for job in at_work for gpu in job.gpus]
            assert len(gpus) == len(set(gpus)), at_work
            seen |= {job.number: (job.what, job.gpus) for job in at_work}
            time.sleep(0.3)
        assert process.returncode == 0, told(folder)[-3000:]
        ended = here.jobs()
    check_results(folder, whole)
    assert leftovers(folder) == []
    # Every job that loads a model had its GPUs, and its commands saw those and no others.
    rules = {"optimize": ["optimize"], "text": ["before"], "baselines": ["baselines"], "answers": ["after", "analyse"]}
    for job, named in rules.items():
        given = sorted(",".join(map(str, gpus)) for what, gpus in seen.values() if what.startswith(job))
        assert {len(gpus.split(",")) for gpus in given} == {2 if job == "optimize" else 1}
        for rule in named:
            logs = [log.read_text() for log in folder.glob(f"results/small/logs/{rule}/**/*.log")]
            assert sorted(re.search(r"^GPUs: (.*)$", log, re.MULTILINE)[1] for log in logs) == given
    assert not any(gpus for what, gpus in seen.values() if not what.startswith(tuple(rules)))
    # A cell's answers, grading, analysis and metrics are one job.
    assert {job.state for job in ended} == {"COMPLETED"}
    kinds = Counter(job.what.split("_")[0] for job in ended)
    assert {kinds[kind] for kind in ("answers-tiny", "baselines", "optimize", "text-tiny")} == {2}
    assert not kinds.keys() & {"grade", "after", "analyse", "metrics"}


def test_cancelled_drained_starved_and_killed_it_ends_with_the_same_tables(whole, tmp_path):
    folder = checkout(tmp_path / "cluster")
    # On their first try the baselines get less memory than Python needs.
    starving = ("--set-resources", "baselines:mem_mb=150 if attempt == 1 else 3000")
    with slurm() as here:

        def at_work(what):
            return [job for job in here.jobs() if job.state == "RUNNING" and job.what.startswith(what)]

        first = start(folder, CONFIG, *CLUSTER, *CARDS, *starving, *TABLES)
        here.wait_for(lambda: at_work("optimize"), 240)
        (victim, *_) = at_work("optimize")
        here.ask("scancel", str(victim.number))
        here.wait_for(lambda: any(job.what == victim.what for job in at_work("optimize")), 240)  # sent again
        here.ask("scontrol", "requeue", str(at_work("optimize")[0].number))  # as a preemption does
        here.ask("scontrol", "update", "nodename=localhost", "state=drain", "reason=test")
        here.wait_for(lambda: not here.running(), 240)  # what was at work ends; nothing new begins
        here.ask("scontrol", "update", "nodename=localhost", "state=resume")
        # Slurm holds back for a while what was requeued; by then it may be all that is left.
        here.wait_for(here.running, 240)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        left = set(here.running())
        assert left
        settled = completed(folder)
        status, said = finish(folder, CONFIG, *CLUSTER, *CARDS, *starving, *TABLES)
        assert status == 0, said[-3000:]
        jobs = here.jobs()
    check_results(folder, whole)
    assert leftovers(folder) == []
    cancelled = {int(n) for line in re.findall(r"Slurm jobs (.*) of a start", said) for n in line.split(", ")}
    assert left <= cancelled | {job.number for job in jobs if job.state == "COMPLETED"}
    # No two writers: each job of the first start had ended when the second start's first one began.
    one, two = dict.fromkeys(job.name for job in sorted(jobs, key=lambda job: job.number))
    assert max(job.end for job in jobs if job.name == one) <= min(job.start for job in jobs if job.name == two)
    assert any(job.what.startswith("baselines") and job.state not in ("COMPLETED", "CANCELLED") for job in jobs)
    now = completed(folder)
    assert all(now[name] == stamp for name, stamp in settled.items())


def refused(folder, *more, config=CONFIG, **environment):
    run = subprocess.run(
        [SNAKEMAKE, "--configfile", config, *CLUSTER, *more],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert not list(folder.glob("results/small/*/*"))
    assert "Traceback" not in run.stderr
    return run.stderr


def test_a_profile_that_does_not_fit_is_one_line_before_anything_is_submitted(tmp_path):
    folder = checkout(tmp_path / "cluster")
    empty = tmp_path / "empty.yaml"
    empty.write_text("partitions: {}\n")
    with slurm() as here:
        said = refused(folder, "--slurm-partition-config", str(empty))
        assert f"{empty}: no partition is named; this cluster has gpu, cpu." in said
        said = refused(folder, "--default-resources", "slurm_partition=fast")
        assert "default-resources of the profile: partition 'fast' is not there; this cluster has gpu, cpu." in said
        # The paper's run fits into the partitions as they are shipped: what it lacks here are its models.
        said = refused(folder, config="config/paper.yaml", HF_HUB_CACHE=str(tmp_path / "nothing"))
        assert "model qwen2.5-14b-instruct: " in said
        assert "no partition takes" not in said
        short = tmp_path / "short.yaml"
        short.write_text("partitions:\n  gpu: {max_gpu: 8, max_runtime: 1h}\n  cpu: {max_runtime: 1h}\n")
        said = refused(folder, "--slurm-partition-config", str(short), config="config/paper.yaml")
        assert re.search(
            rf"{short}: no partition takes \S+ \(gpu 1, gpu_model h100, mem_mb \d+, runtime \d+, \d threads;", said
        )
        assert here.jobs() == []
    short.write_text("partitions:\n  gpu: {max_gpus: 8}\n")
    said = refused(folder, "--slurm-partition-config", str(short))
    assert said.splitlines()[-1].startswith(f"profile slurm: {short}: unknown key 'max_gpus'; keys: ")
    # A stand-in that hides the plugin from Python, as if it had never been installed.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import sys, importlib.abc, importlib.util\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'snakemake_executor_plugin_slurm' else real(name, *a)\n"
    )
    said = refused(folder, PYTHONPATH=f"{hidden}{os.pathsep}{ROOT}")
    wanted = (
        "profile slurm: snakemake-executor-plugin-slurm is not installed; in the checkout: pip install -e '.[slurm]'"
    )
    assert said.splitlines()[-1] == wanted
