"""What a run on a cluster checks before it submits anything, and the jobs that a killed start left behind there.

A Snakemake that is killed leaves its Slurm jobs running. The next start of the same run would submit them again, and two jobs would
write one file. So each start writes down the name under which Slurm knows its jobs; the next one cancels what is left under that
name and waits until it is gone. What was submitted in the very moment of the kill belongs to an earlier start than the one that
holds the run, and refuses to work (:func:`embedgrad.run_lock.belongs`).
"""

import importlib.util
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable

from contracts import UserError, read_json, write_json
from embedgrad.run_lock import FOLDER


def plugin(name: str, *more: str) -> str:
    """The executor's name if its plugin and ``more`` packages are installed.

    Profiles ask for it while Snakemake reads them: so what is missing is one line, and not a usage text of several screens.

    Raises:
        SystemExit: a package is not installed; says how to install it.
    """
    for package in (f"snakemake_executor_plugin_{name}", *more):
        if importlib.util.find_spec(package) is None:
            missing = package.replace("_", "-")
            sys.exit(f"profile {name}: {missing} is not installed; pip install 'embedgrad[{name}]'")
    return name


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


def finished(run: str) -> None:
    """This start's jobs have all ended: nothing is left to take over."""
    (FOLDER / f"embedgrad.{run}.slurm").unlink(missing_ok=True)


def _cancel(name: str, seconds: float) -> None:
    deadline, quiet, told = time.monotonic() + seconds, 0, set()
    while quiet < 2:  # an sbatch that outlived its Snakemake may still be on its way
        left = _ask("squeue", "--noheader", "--name", name, "--format", "%A").split()
        if set(left) - told:
            print(f"Slurm jobs {', '.join(left)} of a start that was killed: cancelled", file=sys.stderr)
            _ask("scancel", *left)
            told |= set(left)
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
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
        raise UserError(f"{command[0]} failed ({said}); is Slurm up?") from None
