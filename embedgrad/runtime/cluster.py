"""What a run on a cluster checks before it submits anything, and the jobs that a killed start left behind there.

A Snakemake that is killed leaves its Slurm jobs running. The next start of the same run would submit them again, and two jobs would
write one file. So each start writes down the name under which Slurm knows its jobs; the next one cancels what is left under that
name and waits until it is gone. What was submitted in the very moment of the kill belongs to an earlier start than the one that
holds the run, and refuses to work (:func:`embedgrad.runtime.run_lock.belongs`).
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from embedgrad.runtime.run_lock import FOLDER
from embedgrad_core.files import UserError, read_json, reason_of, write_json


def plugin(name: str, *more: str) -> str:
    """The executor's name if its plugin and ``more`` packages are installed.

    Profiles ask for it while Snakemake reads them: so what is missing is one line, and not a usage text of several screens.

    Raises:
        SystemExit: a package is not installed; says how to install it.
    """
    for package in (f"snakemake_executor_plugin_{name}", *more):
        if importlib.util.find_spec(package) is None:
            missing = package.replace("_", "-")
            sys.exit(f"profile {name}: {missing} is not installed; in the checkout: pip install -e '.[{name}]'")
    return name


def partition_file(name: str) -> str:
    """The name of a profile's file of partitions, if the plugin can read that file.

    Profiles ask for it while Snakemake reads them: the plugin itself would end in a traceback.

    Args:
        name: beside the profile; ``--slurm-partition-config`` on the command line names another.

    Raises:
        SystemExit: the file is not there or not what the plugin reads; names the file and the key.
    """
    from snakemake_executor_plugin_slurm.partitions import read_partition_file

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--profile", default=os.environ.get("SNAKEMAKE_PROFILE", ""))
    parser.add_argument("--slurm-partition-config", type=Path)
    given = parser.parse_known_args()[0]
    file = given.slurm_partition_config or Path(given.profile, name)
    try:
        if given.slurm_partition_config or given.profile:
            read_partition_file(file)
    except Exception as error:  # noqa: BLE001 the plugin raises what Python raises
        reason = str(error).replace("PartitionLimits.__init__() got an unexpected keyword argument", "unknown key")
        if isinstance(error, AttributeError | TypeError) and reason == str(error):
            reason = "every partition needs keys of its own, at least one"
        sys.exit(
            f"profile slurm: {file}: {reason}; keys: documentation of snakemake-executor-plugin-slurm, dynamic partition selection"
        )
    return name


def check_jobs(jobs: Iterable, group_of: Callable, file: str | Path | None) -> None:
    """The partitions that jobs are sent to, by the resource ``slurm_partition`` or else by a file, are there and take each job.

    Args:
        jobs: Snakemake's jobs that go to the cluster.
        group_of: from a job to its group, or None.
        file: of partitions, as the plugin's setting names it; else the plugin reads SNAKEMAKE_SLURM_PARTITIONS.

    Raises:
        UserError: no Slurm here, no partition named, one that this cluster lacks, or a job that fits into none.
    """
    jobs, file = list(jobs), file or os.environ.get("SNAKEMAKE_SLURM_PARTITIONS")
    asked = {job.resources.get("slurm_partition") for job in jobs} - {None, ""}
    if not file or asked:
        check_partitions(asked, "slurm_partition under default-resources of the profile")
        return
    from snakemake_executor_plugin_slurm.partitions import read_partition_file

    partitions = read_partition_file(Path(file))
    check_partitions([partition.name for partition in partitions], str(file))
    check_fit(dict.fromkeys(group_of(job) or job for job in jobs), partitions, str(file))


def check_partitions(wanted: Iterable[str], place: str) -> None:
    """Every partition that jobs are sent to must be there.

    Args:
        wanted: names; none at all is an error too.
        place: where they are written, for the message.

    Raises:
        UserError: no Slurm here, no partition named, or one that this cluster lacks.
    """
    if shutil.which("sbatch") is None:
        raise UserError(
            "no sbatch on this machine: start the run where Slurm's commands are, or without the slurm profile."
        )
    known = _ask("sinfo", "--noheader", "--format", "%R").split()
    has = f"this cluster has {', '.join(dict.fromkeys(known)) or 'none'}."
    names = [name for name in wanted if name]
    if not names:
        raise UserError(f"{place}: no partition is named; {has}")
    for name in names:
        if not set(name.split(",")) <= set(known):
            raise UserError(f"{place}: partition {name!r} is not there; {has}")


def check_fit(jobs: Iterable, partitions: Iterable, place: str) -> None:
    """Each job must fit into one of the partitions; the plugin would send it to the cluster's default one.

    Args:
        partitions: the plugin's own, which say what fits (``score_job_fit``).
        place: where they are written, for the message.

    Raises:
        UserError: names a job, and what it asks for.
    """
    partitions = list(partitions)
    for job in jobs:
        if all(partition.score_job_fit(job) is None for partition in partitions):
            asked = {key: job.resources.get(key) for key in ("gpu", "gpu_model", "mem_mb", "runtime")}
            if not asked["gpu"]:
                del asked["gpu"], asked["gpu_model"]
            needs = ", ".join(f"{key} {value}" for key, value in asked.items() if value is not None)
            raise UserError(
                f"{place}: no partition takes {job.name} ({needs}, {job.threads} threads; runtime in minutes); "
                "raise its limits or name a larger partition."
            )


def take_over(run: str, name: str | None, seconds: float = 120.0) -> None:
    """Cancel the Slurm jobs of this run's start before, wait for their end, and write down the name of this start's.

    Args:
        run: the run's name, ``results/<run>``.
        name: under which Slurm will know this start's jobs; None when they run on this machine.
        seconds: to wait. Slurm grants its jobs half a minute by default.

    Raises:
        UserError: they are not gone by then, or there is no way to see.
    """
    path = FOLDER / f"embedgrad.{run}.slurm"
    if path.exists():
        earlier = str(read_json(path).get("name"))
        if shutil.which("squeue") is None:
            raise UserError(
                f"this run was last made by Slurm jobs named {earlier}, which may be at work still; no squeue here to ask. "
                f"Go on where Slurm's commands are, or delete {path} if they have ended."
            )
        _cancel(earlier, seconds)
        path.unlink()
    if name:
        write_json(path, {"name": name})


def finished(run: str, seconds: float = 20.0) -> None:
    """After the last job: there is nothing left to take over, as far as Slurm says so.

    After Ctrl-C jobs may still be saving, and after an error of Snakemake's they may be at work: what is left after ``seconds``,
    or cannot be asked for, is left to the next start.
    """
    path = FOLDER / f"embedgrad.{run}.slurm"
    if not path.exists():
        return
    deadline = time.monotonic() + seconds
    try:
        while _ask("squeue", "--noheader", "--name", str(read_json(path).get("name")), "--format", "%A").split():
            if time.monotonic() > deadline:
                return
            time.sleep(1)
    except UserError:
        return
    path.unlink(missing_ok=True)


def _cancel(name: str, seconds: float) -> None:
    deadline, quiet = time.monotonic() + seconds, 0
    reported: set[str] = set()
    while quiet < 2:  # an sbatch that outlived its Snakemake may still be on its way
        left = _ask("squeue", "--noheader", "--name", name, "--format", "%A").split()
        if set(left) - reported:
            print(f"Slurm jobs {', '.join(left)} of a start that was killed: cancelled", file=sys.stderr)
            _ask("scancel", *left)
            reported |= set(left)
        quiet = 0 if left else quiet + 1
        if time.monotonic() > deadline:
            raise UserError(
                f"Slurm jobs {', '.join(left)} of an earlier start are still there; end them (scancel) first."
            )
        time.sleep(1)


def _ask(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"{command[0]} failed ({reason_of(error)}); is Slurm up?") from None
