"""A process that keeps its model between jobs: what a job asks of it, and what it is.

Each job of the workflow is a command of its own, which imports torch and loads the model: 6 s and, where weights are large, half a
minute in which a GPU idles. Where the workflow asks for it (:data:`FOLDER` in the environment), a command that needs one GPU, or
none, is run by a process that has done so before. The job itself stays: Snakemake starts it, waits for it, ends it, keeps its log
and its time. It hands its words, its standard output and its standard error over a socket and waits for the exit code.

At most one job at a time has such a process (a kernel lock, which ends with the job). The process does one job after the other as
the command does it, forgets the model when another one is asked for, and ends: with the Snakemake that started the run, after a
time without jobs, or after a job that failed, so that the next one starts clean. A job that is killed takes it along.
"""

import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from embedgrad.runtime.interruption import GRACE, Terminated

# Where the sockets of a run lie; set by the workflow for its jobs. And, for a process that is to serve, its own place there.
FOLDER, SERVE = "EMBEDGRAD_RESIDENT", "EMBEDGRAD_SERVE"
# Commands that leave a model as they found it and answer or train with one. Other methods change it, some in another environment.
COMMANDS = ("optimize", "decode", "baselines", "chains", "analyse", "probe")
MODEL_FLAGS = ("--model", "--revision", "--dtype", "--device", "--device-map")
IDLE = 120.0  # seconds without a job after which the GPU, or the memory, is given back
COMING_UP = 60.0  # seconds in which a new process must open its socket


def folder_for(parent: int) -> Path:
    """A folder for the sockets of the jobs of one Snakemake; nobody else's."""
    base = Path(tempfile.gettempdir()) / f"embedgrad-resident-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    found = base.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{base}: is open to others")
    folder = base / str(parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def delegated(argv: Sequence[str]) -> int | None:
    """Have a command run by a process that keeps its model.

    Returns:
        Its exit code; None where it is to run here: the workflow does not ask for it, or the command loads no model, needs several
        GPUs or has another engine. Such a one may need the GPUs that waiting processes hold, and ends those.
    """
    place = os.environ.get(FOLDER)
    wanted = _flag(argv, "--gpus")  # rules give it to each command that loads a model
    # Linux alone has SO_PEERCRED.
    if not place or wanted is None or not Path(place).is_dir() or not hasattr(socket, "SO_PEERCRED"):
        return None
    folder = Path(place)
    if argv[0] not in COMMANDS or wanted not in ("0", "1") or _flag(argv, "--engine") == "vllm":
        if wanted != "0":
            dismiss(folder)
        return None
    with contextlib.ExitStack() as kept:
        connection = next((found for _, found in _held(kept, _waiting(folder, _model(argv)))), None)
        connection = connection or _started(kept, folder)
        return _ask(kept.enter_context(connection), argv) if connection else None


def dismiss(folder: Path) -> None:
    """End the processes that wait for a job, and wait until they have given their GPUs back."""
    for lock, connection in _waiting(folder, ""):
        with connection:
            process = os.pidfd_open(_process_of(connection))
            connection.shutdown(socket.SHUT_WR)
            select.select([process], [], [], GRACE)
            os.close(process)
        os.close(lock)


def _process_of(connection: socket.socket) -> int:
    """The process at the other end."""
    number, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(number)


def _flag(argv: Sequence[str], name: str) -> str | None:
    """The value of a flag, as rules write it."""
    return next((value for flag, value in pairwise(argv) if flag == name), None)


def _model(argv: Sequence[str]) -> str:
    return json.dumps([_flag(argv, name) for name in MODEL_FLAGS])


def _held(
    kept: contextlib.ExitStack, found: Iterator[tuple[int, socket.socket]]
) -> Iterator[tuple[int, socket.socket]]:
    """Each lock is held until the job ends."""
    for lock, connection in found:
        kept.callback(os.close, lock)
        yield lock, connection


def _waiting(folder: Path, model: str) -> Iterator[tuple[int, socket.socket]]:
    """Lock and connection of the processes without a job, those that hold ``model`` first."""

    def has_another(path: Path) -> bool:
        with contextlib.suppress(OSError):
            return path.with_suffix(".model").read_text(encoding="utf-8") != model
        return True

    for path in sorted(folder.glob("*.lock"), key=has_another):
        lock = _locked(path)
        if lock is None:
            continue
        connection = _connected(path.with_suffix(".sock"))
        if connection:
            yield lock, connection
        else:
            _clear(path)  # it has ended
            os.close(lock)


def _locked(path: Path) -> int | None:
    """The lock of a process, unless a job has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file


def _clear(path: Path) -> None:
    for suffix in (".sock", ".model", ".lock"):
        path.with_suffix(suffix).unlink(missing_ok=True)


def _connected(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection


def _started(kept: contextlib.ExitStack, folder: Path) -> socket.socket | None:
    """A connection to a new process, which this job has for itself; None where none comes up."""
    path = folder / f"{uuid.uuid4().hex[:12]}.lock"
    lock = _locked(path)
    if lock is None:
        return None
    kept.callback(os.close, lock)
    environment = {**os.environ, SERVE: str(path)}
    with path.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "embedgrad"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + COMING_UP
    while time.monotonic() < deadline and process.poll() is None:
        if connection := _connected(path.with_suffix(".sock")):
            return connection
        time.sleep(0.05)
    return None


def _ask(connection: socket.socket, argv: Sequence[str]) -> int:
    """Hand the job over and wait for its exit code; a signal is passed on."""
    words = json.dumps({"argv": list(argv), "cwd": str(Path.cwd()), "model": _model(argv)}).encode() + b"\n"
    process = _process_of(connection)
    sys.stdout.flush()
    sys.stderr.flush()
    socket.send_fds(connection, [words], [1, 2])
    try:
        reply = connection.recv(16)
    except KeyboardInterrupt:  # SIGTERM, too: what is running saves its state
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
        connection.settimeout(GRACE)
        with contextlib.suppress(OSError):
            connection.recv(16)
        raise
    if reply:
        return int(reply)
    print(f"embedgrad {argv[0]}: the process that ran it was killed; start it again.", file=sys.stderr)
    return 1


def serve(path: Path, main: Callable[[Sequence[str]], int], forget: Callable[[], None]) -> int:
    """Do one job after the other.

    Args:
        path: the lock of this process, beside which its socket lies.
        main: runs a command and returns its exit code.
        forget: lets go of the model, before another one is loaded.

    Returns:
        The exit code.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path.with_suffix(".sock")))
    listening.listen(1)
    listening.settimeout(IDLE)
    held = ""
    try:
        while True:
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                if _locked(path) is None:  # a job is about to come
                    continue
                return 0
            with connection:
                words, files, _, _ = socket.recv_fds(connection, 1 << 16, 2)
                while words and not words.endswith(b"\n"):
                    words += connection.recv(1 << 16)
                if not words:  # nobody needs it any longer
                    return 0
                job = json.loads(words)
                if job["model"] != held:
                    forget()
                    held = job["model"]
                    path.with_suffix(".model").write_text(held, encoding="utf-8")
                _tidy()
                code = _run(connection, files, partial(_in, job["cwd"], main, job["argv"]))
                with contextlib.suppress(OSError):
                    connection.sendall(str(code).encode())
            if code:
                return code
    except Terminated:
        return 128 + signal.SIGTERM
    finally:
        listening.close()
        _clear(path)


def _in(place: str, main: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    os.chdir(place)
    return main(argv)


def _run(connection: socket.socket, files: Sequence[int], work: Callable[[], int]) -> int:
    """Do a job with its own standard output and error; end it if whoever asked for it is gone."""
    own = [os.dup(1), os.dup(2)]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            if select.select([connection], [], [], 0)[0]:  # it says nothing more: this is its end
                os.kill(os.getpid(), signal.SIGTERM)
                return

    try:
        for place, file in zip((1, 2), files, strict=True):
            os.dup2(file, place)
            os.close(file)
        threading.Thread(target=watch, name="asker", daemon=True).start()
        return work()
    except KeyboardInterrupt:
        return 128 + signal.SIGTERM
    except BaseException:  # noqa: BLE001 a fault of ours: its traceback is the job's, and this process ends
        traceback.print_exc()
        return 1
    finally:
        over.set()
        sys.stdout.flush()
        sys.stderr.flush()
        for place, file in zip((1, 2), own, strict=True):
            os.dup2(file, place)
            os.close(file)


def _tidy() -> None:
    """What the last job left: passing tensors, and the peak of its memory."""
    gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark of resident memory, proc(5)
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
