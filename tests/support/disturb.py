"""Snakemake runs that are disturbed on purpose: real processes, real signals, and what must hold afterwards."""

import base64
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from places import ROOT, SNAKEMAKE

# What tells of clocks, machines and the checkout and not of results.
CLOCKS = re.compile(
    r'"(((train_)?(cpu_)?)seconds|energy_[cg]pu_joules|tokens_per_s|peak_memory_bytes|finished|check|commit|dirty)": [^,}\n]*'
)
VICTIMS = ("snakemake", "job", "all")
# A process that hears no signal: its main thread sits in a call that none interrupts, as in a long product.
# The caller says what to do before. Then a second thread says "at work", and it has the interpreter only from within that call:
# threads do not take turns here, and until the call nothing gives the interpreter away. Said any earlier, a signal could
# come before the call on a busy machine, and be heard. Hashing so often takes many minutes anywhere.
DEAF = """
import hashlib, sys, threading
sys.setswitchinterval(10_000)
near = threading.Lock()
near.acquire()
def say():
    with near:
        print("at work", flush=True)
threading.Thread(target=say, daemon=True).start()
near.release()
hashlib.pbkdf2_hmac("sha512", b"x", b"y", 2_000_000_000)
"""


def checkout(folder: Path) -> Path:
    """The workflow's files in a folder of their own, with a folder for temporary files of its own."""
    (folder / "tmp").mkdir(parents=True)
    for name in ("Snakefile", "workflow", "config", "profiles"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "tests/configs", folder / "tests/configs")
    return folder


def start(folder: Path, config: str, *more: str, **environment: str) -> subprocess.Popen:
    """Snakemake in a process group of its own, its output in ``<folder>/output.log``."""
    settings = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    settings |= {"TMPDIR": str((folder / "tmp").resolve())} | environment
    # The job's `embedgrad` must be this interpreter's.
    settings["PATH"] = f"{SNAKEMAKE.parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / "output.log").open("ab") as output:
        return subprocess.Popen(
            [SNAKEMAKE, "--cores", "2", "--configfile", config, *more],
            cwd=folder,
            env=os.environ | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def finish(folder: Path, config: str, *more: str, **environment: str) -> tuple[int, str]:
    """Run to the end; exit status and output."""
    before = (folder / "output.log").stat().st_size if (folder / "output.log").exists() else 0
    status = start(folder, config, *more, **environment).wait()
    return status, (folder / "output.log").read_bytes()[before:].decode(errors="replace")


def processes(folder: Path) -> dict[int, str]:
    """Live processes whose working folder is ``folder``: id and command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if (entry / "cwd").readlink() == folder.resolve():
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if line:  # a zombie has none
                    found[int(entry.name)] = line
        except OSError:
            continue
    return found


def jobs(folder: Path) -> list[int]:
    """Processes of the suite's own commands."""
    return [pid for pid, line in processes(folder).items() if "/embedgrad " in line and "bash" not in line.split()[0]]


def results(folder: Path) -> dict[str, str]:
    """Hash of each result and table, clocks and memory left out."""
    found = {}
    for path in sorted((folder / "results").rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or "/logs/" in name or "/benchmarks/" in name or path.suffix == ".html":
            continue
        data = path.read_bytes()
        if path.suffix in (".json", ".jsonl"):
            data = CLOCKS.sub("", data.decode()).encode()
        found[name] = hashlib.sha256(data).hexdigest()
    return found


def completed(folder: Path) -> dict[str, tuple[int, int]]:
    """Files that Snakemake has written down as finished: inode and time of writing."""
    home, found = folder / ".snakemake", {}

    def names(kind: str) -> set[str]:
        entries = (path for path in (home / kind).rglob("*") if path.is_file())
        names = ("".join(path.relative_to(home / kind).parts).replace("@", "") for path in entries)
        return {base64.b64decode(name).decode() for name in names if not name.startswith(".")}

    for name in names("metadata") - names("incomplete"):
        path = folder / name
        if path.is_file():
            found[name] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def leftovers(folder: Path, seconds: float = 12.0) -> list[str]:
    """Processes, temporary files (in TMPDIR too) and locks that a finished run left; processes get a moment to end."""
    deadline = time.monotonic() + seconds
    while processes(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    found = [f"process {pid}: {line[:80]}" for pid, line in processes(folder).items()]
    found += [str(path) for root in ("results", "figures", "tmp") for path in folder.glob(f"{root}/**/.*.tmp")]
    # What this suite's commands put into TMPDIR: nothing. Snakemake's and torch's caches are their own affair.
    found += [str(path) for path in folder.glob("tmp/*") if not path.name.startswith(("snakemake", "torchinductor"))]
    found += [str(path) for path in folder.glob(".snakemake/locks/*")]
    return found + [str(path) for path in folder.glob(".snakemake/incomplete/**/*") if path.is_file()]


@dataclass
class Tally:
    """What came of the faults.

    Attributes:
        injected: kills by (victim, signal).
        starts: of Snakemake.
        recomputed: finished files that were written again.
        orphans: processes that outlived a killed Snakemake by more than 12 s.
        slow: jobs that took more than 10 s to end after SIGTERM.
        seconds: the longest of those.
    """

    injected: dict[str, int] = field(default_factory=dict)
    starts: int = 0
    recomputed: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    seconds: float = 0.0


def disturbed(folder: Path, config: str, kills: int, chance: random.Random, mean: float) -> Tally:
    """Run to the end, killed ``kills`` times on the way, about every ``mean`` seconds.

    Raises:
        RuntimeError: the run ends in another way than by these kills, or never.
    """
    tally, settled = Tally(), {}
    while True:
        process = start(folder, config)
        tally.starts += 1
        undisturbed = sum(tally.injected.values()) >= kills
        try:
            status = process.wait(timeout=None if undisturbed else chance.uniform(0.2, 2 * mean))
        except subprocess.TimeoutExpired:
            _kill(folder, process, chance, tally)
            status = process.wait()
        now = completed(folder)
        tally.recomputed += [name for name in settled if now.get(name) != settled[name]]
        settled = now
        if status == 0:
            return tally
        if undisturbed:
            raise RuntimeError(f"undisturbed, the run failed:\n{(folder / 'output.log').read_text()[-3000:]}")


def _kill(folder: Path, process: subprocess.Popen, chance: random.Random, tally: Tally) -> None:
    number = chance.choice((signal.SIGKILL, signal.SIGTERM))
    running = jobs(folder)
    victim = chance.choice(VICTIMS if running else ("snakemake", "all"))
    key = f"{number.name} {victim}"
    tally.injected[key] = tally.injected.get(key, 0) + 1
    started = time.monotonic()
    if victim == "all":
        os.killpg(process.pid, number)
    else:
        target = chance.choice(running) if victim == "job" else process.pid
        try:
            os.kill(target, number)
        except ProcessLookupError:
            return
        if victim == "job" and number == signal.SIGTERM:
            while target in processes(folder) and time.monotonic() - started < 30:
                time.sleep(0.05)
            took = time.monotonic() - started
            tally.seconds = max(tally.seconds, took)
            if took > 10:
                tally.slow.append(f"process {target}: {took:.1f} s")
    process.wait()
    if victim != "job" and number == signal.SIGKILL:
        deadline = time.monotonic() + 12
        while processes(folder) and time.monotonic() < deadline:
            time.sleep(0.05)
        tally.orphans += [f"{pid} {line[:80]}" for pid, line in processes(folder).items()]
