"""One Snakemake at a time for a run in a folder, and what a killed one left behind.

Snakemake's own lock is a file that a killed process leaves there, so that the next start needs ``--unlock`` by hand. The lock here
is the kernel's (flock): it ends with the process. Who holds it knows that no other Snakemake makes this run here, and clears
away stale locks of Snakemake's and half-written files.
"""

import datetime
import fcntl
import os
import shutil
import socket
import sys
import time
from pathlib import Path

from contracts import UserError, printable

FOLDER = Path(".snakemake")
# The start that holds the run, handed to its jobs wherever they run.
START = "EMBEDGRAD_START"
_held: dict[Path, int] = {}


def hold(run: str, seconds: float = 0.0) -> bool:
    """Take the lock of a run in the current folder until this process ends; then clear away what a killed one left.

    Args:
        run: the run's name, ``results/<run>``.
        seconds: how long to wait for another holder.

    Returns:
        Whether it is ours; also true on a file system without locks, where nothing is cleared away.

    Raises:
        UserError: the folder cannot be written to.
    """
    path = (FOLDER / f"embedgrad.{run}.lock").resolve()
    if path in _held:
        return True
    try:
        path.parent.mkdir(exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); start the run in a folder of your own."
        ) from None
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(file)
                return False
            time.sleep(0.2)
        except OSError:
            os.close(file)
            return True
    _held[path] = file
    start = f"process {os.getpid()} on {socket.gethostname()} since {datetime.datetime.now(datetime.UTC).isoformat()}"
    os.ftruncate(file, 0)
    os.pwrite(file, f"{start}\n".encode(), 0)
    os.environ[START] = start
    clear_away(run)
    return True


def holder(run: str) -> str:
    """Who has the lock, as far as it has said so."""
    try:
        told = (FOLDER / f"embedgrad.{run}.lock").read_text(encoding="utf-8", errors="replace").strip()
        return printable(told) or "another process"
    except OSError:
        return "another process"


def belongs(run: str) -> None:
    """In a job: refuse to work for a start that no longer holds the run.

    Raises:
        UserError: another start has taken the run over since this job was submitted.
    """
    mine = os.environ.get(START)
    if mine and holder(run) not in (mine, "another process"):
        raise UserError(f"this job is of an earlier start ({mine}); the run is now made by {holder(run)}.")


def insist(run: str) -> None:
    """Hold the lock or refuse to go on; waits a little, since a dry run holds it for seconds.

    Raises:
        UserError: another Snakemake is making this run here.
    """
    if not hold(run, seconds=10):
        raise UserError(
            f"run {run} is being made in this folder already, by {holder(run)}; wait for it, or work in another folder "
            "(--directory)."
        )


def clear_away(run: str) -> None:
    """Remove Snakemake's locks on this run's files, and temporary files of writers that were killed."""
    own = (f"results/{run}/", f"figures/{run}/")
    for lock in (FOLDER / "locks").glob("*.lock"):
        try:
            files = lock.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        if not any(files) or any(name.startswith(own) for name in files):
            lock.unlink(missing_ok=True)
            print(f"{lock}: left by a run that was killed; removed", file=sys.stderr)
    for root in own:
        for rest in list(Path(root).glob("**/.*.tmp")):
            shutil.rmtree(rest, ignore_errors=True) if rest.is_dir() else rest.unlink(missing_ok=True)
