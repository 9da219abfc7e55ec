"""One Snakemake at a time for a run in a folder, and what a killed one left behind.

Snakemake's own lock is a file that a killed process leaves there, so that the next start needs ``--unlock`` by hand. The locks here
are the kernel's (flock): they end with the process. Who holds the first one knows that no other Snakemake makes this run here, and
removes stale locks of Snakemake's. Each job shares the second one: a job may outlive its Snakemake by seconds, inside a long
product, and before it has ended nobody starts jobs of this run, nor takes its temporary files for those of a dead one.
"""

import contextlib
import datetime
import fcntl
import os
import shutil
import socket
import sys
import time
from pathlib import Path

from embedgrad_core.files import TEMPORARY, UserError, printable

FOLDER = Path(".snakemake")
# The start that holds the run, and the lock of its jobs, handed to its jobs wherever they run.
START, JOBS = "EMBEDGRAD_START", "EMBEDGRAD_JOBS"
_held: dict[Path, int] = {}


def hold(run: str, seconds: float = 0.0, tidy: bool = True) -> bool:
    """Take the lock of a run in the current folder until this process ends.

    Args:
        run: the run's name, ``results/<run>``.
        seconds: how long to wait for another holder.
        tidy: whether to remove Snakemake's locks that a killed start left; a dry run touches nothing.

    Returns:
        Whether it is ours; also true on a file system without locks, where nothing is ever cleared away.

    Raises:
        UserError: the folder cannot be written to.
    """
    path = _lock(run)
    if path in _held:
        return True
    file = _open(path)
    locked = _flock(file, fcntl.LOCK_EX, seconds)
    if not locked:
        os.close(file)
        return locked is None
    _held[path] = file
    start = f"process {os.getpid()} on {socket.gethostname()} since {datetime.datetime.now(datetime.UTC).isoformat()}"
    os.ftruncate(file, 0)
    os.pwrite(file, f"{start}\n".encode(), 0)
    os.environ |= {START: start, JOBS: str(_jobs(path))}
    if tidy:
        _remove_locks(run)
    return True


def _lock(run: str) -> Path:
    return (FOLDER / f"embedgrad.{run}.lock").resolve()


def _jobs(path: Path) -> Path:
    return path.with_suffix(".jobs.lock")


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); start the run in a folder of your own."
        ) from None


def _flock(file: int, kind: int, seconds: float) -> bool | None:
    """Whether the lock was to be had within ``seconds``; None on a file system without locks."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.2)
        except OSError:
            return None


def holder(run: str) -> str:
    """Who has the lock, as far as the file states it."""
    return _said(_lock(run))


def _said(path: Path) -> str:
    try:
        return printable(path.read_text(encoding="utf-8", errors="replace").strip()) or "another process"
    except OSError:
        return "another process"


def belongs(run: str) -> None:
    """In a job: refuse to work for a start that no longer holds the run.

    Raises:
        UserError: another start has taken the run over since this job was submitted.
    """
    _belongs(_lock(run))


def _belongs(path: Path) -> None:
    mine = os.environ.get(START)
    if mine and _said(path) not in (mine, "another process"):
        raise UserError(f"this job is of an earlier start ({mine}); the run is now made by {_said(path)}.")


def join() -> None:
    """In a job of the workflow: be seen at work until this process ends. By hand, or where the folder is not shared, nothing.

    Raises:
        UserError: another start has taken the run over since this job was submitted.
    """
    place = os.environ.get(JOBS)
    if not place:
        return
    path = Path(place)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return
    _held[path] = file
    # Only a start that waits for jobs of an earlier one holds it alone, for a moment. First seen, then asked whom it works for:
    # so the next start either waits for this job, or this job sees the next start.
    _flock(file, fcntl.LOCK_SH, 20)
    _belongs(path.with_name(path.name.removesuffix(".jobs.lock") + ".lock"))


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


def settle(run: str, seconds: float = 20.0) -> None:
    """Wait for the jobs that a killed start left at work, then remove the temporary files of writers that were killed.

    Raises:
        UserError: they are still at work.
    """
    path = _lock(run)
    if path not in _held:  # a file system without locks
        return
    file = _open(_jobs(path))
    try:
        locked = _flock(file, fcntl.LOCK_EX, seconds)
        if locked is False:
            raise UserError(
                f"jobs of an earlier start of run {run} are still at work in this folder; end them, or try again later."
            )
        if locked:
            _clear_away(run)
    finally:
        os.close(file)


def _remove_locks(run: str) -> None:
    """Snakemake's locks on this run's files; and empty ones, unless another start may be about to fill them."""
    for lock in (FOLDER / "locks").glob("*.lock"):
        with contextlib.suppress(OSError):
            files = lock.read_text(encoding="utf-8", errors="replace").splitlines()
            abandoned = not any(files) and time.time() - lock.stat().st_mtime > 10
            if abandoned or any(name.startswith(_own(run)) for name in files):
                lock.unlink(missing_ok=True)
                print(f"{lock}: left by a run that was killed; removed", file=sys.stderr)


def _clear_away(run: str) -> None:
    for root in _own(run):
        for rest in list(Path(root).glob(f"**/.*{TEMPORARY}")):
            shutil.rmtree(rest, ignore_errors=True) if rest.is_dir() else rest.unlink(missing_ok=True)


def _own(run: str) -> tuple[str, str]:
    return f"results/{run}/", f"figures/{run}/"
