"""A real Slurm on this machine alone: controller, one node, two fake GPUs; its state in a folder that goes away.

It wants root, Debian's packages slurmctld, slurmd, slurm-client and munge, and no Slurm of this machine's own. Munge signs the
messages; everything listens on the loopback address.
"""

import datetime
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ETC = Path("/etc/slurm")  # SLURM_CONF does not reach the srun inside a job
OURS = "embedgrad-slurm-"
MUNGE_PID = Path("/run/munge/munged.pid")
LOCK = Path(tempfile.gettempdir()) / "embedgrad-slurm.lock"  # one of these at a time on a machine
PROGRAMS = ("slurmctld", "slurmd", "munge", "munged", "sbatch", "srun", "squeue", "scontrol")
# The node has more cores and memory than the machine: what is tried here is who gets what, not how fast. A job that was requeued
# waits for as long as credentials last: two minutes unless it is said otherwise.
SLURM_CONF = """\
ClusterName=here
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=30
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={state}/state
SlurmdSpoolDir={state}/spool-%n
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd-%n.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd-%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,sched_interval=1,batch_sched_delay=0,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=256
EnforcePartLimits=ALL
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
ReturnToService=2
MinJobAge=3600
KillWait=5
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=localhost CPUs=16 RealMemory=256000 Gres=gpu:h100:2
PartitionName=gpu Nodes=localhost Default=NO MaxTime=1-0 State=UP
PartitionName=cpu Nodes=localhost Default=YES MaxTime=1-0 State=UP
"""


def missing() -> str:
    """Why no Slurm can be started here, or ""."""
    if os.geteuid() != 0:
        return "starting a Slurm needs root"
    without = [name for name in PROGRAMS if shutil.which(name) is None]
    if without:
        return f"no {', '.join(without)}; apt-get install slurmctld slurmd slurm-client munge"
    if (ETC / "slurm.conf").exists() and not _ours(ETC / "slurm.conf"):
        return f"{ETC}/slurm.conf: this machine has a Slurm of its own"
    return ""


def munge_answers() -> bool:
    """Whether a munged is there; a socket alone may be of one that was killed, and then each message to Slurm times out."""
    return subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Slurm:
    """A running Slurm.

    Attributes:
        state: its folder; the daemons' logs lie there.
    """

    state: Path

    def ask(self, *command: str) -> str:
        """What one of Slurm's own commands prints."""
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def running(self) -> list[int]:
        """Ids of the jobs at work."""
        return [int(number) for number in self.ask("squeue", "-h", "-t", "R", "-o", "%A").split()]

    def jobs(self) -> list["Job"]:
        """All jobs so far, the ended ones too."""
        text = self.ask("scontrol", "--details", "show", "job")
        return [Job.read(block) for block in text.split("\n\n") if block.startswith("JobId=")]

    def wait_for(self, condition, seconds: float = 60) -> None:
        """Until ``condition()`` holds.

        Raises:
            TimeoutError: it does not come.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.jobs()}")
            time.sleep(0.1)


@dataclass(frozen=True)
class Job:
    """What Slurm remembers of a job.

    Attributes:
        number: its id.
        name: its name, one for all jobs of a Snakemake's start.
        what: rule and wildcards, or the group.
        state: COMPLETED, CANCELLED, OUT_OF_MEMORY, …
        restarts: how often it was put back into the queue.
        start: of its (last) run.
        end: of that.
        gpus: indices of the GPUs it was given.
    """

    number: int
    name: str
    what: str
    state: str
    restarts: int
    start: datetime.datetime
    end: datetime.datetime
    gpus: tuple[int, ...]

    @classmethod
    def read(cls, block: str) -> "Job":
        """From a block of ``scontrol --details show job``."""

        def one(key: str) -> str:
            return re.search(rf"\b{key}=(\S*)", block)[1]

        def time_of(key: str) -> datetime.datetime:
            text = one(key)
            return datetime.datetime.max if text == "Unknown" else datetime.datetime.fromisoformat(text)

        gpus = re.search(r"GRES=gpu:\S*\(IDX:([\d,-]+)\)", block)
        numbers: list[int] = []
        for part in gpus[1].split(",") if gpus else ():
            first, _, last = part.partition("-")
            numbers += range(int(first), int(last or first) + 1)
        return cls(
            *(int(one("JobId")), one("JobName"), one("Comment").removeprefix("rule_"), one("JobState")),
            *(int(one("Restarts")), time_of("StartTime"), time_of("EndTime"), tuple(numbers)),
        )


@contextmanager
def slurm() -> Iterator[Slurm]:
    """Start a Slurm; end it and all of its jobs afterwards. Waits for another one that was started so.

    Raises:
        RuntimeError: it does not come up; the end of its log.
    """
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        reason = missing()
        if reason:
            raise RuntimeError(reason)
        with tempfile.TemporaryDirectory(prefix=OURS) as state:
            yield from _run(Path(state))


def _run(state: Path) -> Iterator[Slurm]:
    (state / "state").mkdir()
    (state / "dev").mkdir()
    for number in (0, 1):
        subprocess.run(["mknod", state / f"dev/gpu{number}", "c", "1", "3"], check=True)
    (state / "slurm.conf").write_text(SLURM_CONF.format(state=state))
    (state / "gres.conf").write_text(f"NodeName=localhost Name=gpu Type=h100 File={state}/dev/gpu[0-1]\n")
    ETC.mkdir(exist_ok=True)
    links = [ETC / "slurm.conf", ETC / "gres.conf"]
    for link in links:
        if _ours(link):  # of one that was killed: its daemons may still hold the ports
            _end_daemons(link.readlink().parent)
            link.unlink()
        link.symlink_to(state / link.name)
    own_munge = not munge_answers()
    try:
        if own_munge:
            subprocess.run(["install", "-d", "-o", "munge", "-g", "munge", "-m", "755", "/run/munge"], check=True)
            subprocess.run(["runuser", "-u", "munge", "--", shutil.which("munged")], check=True)
        subprocess.run(["slurmctld"], check=True)
        subprocess.run(["slurmd", "-N", "localhost"], check=True)
        here = Slurm(state)
        deadline = time.monotonic() + 30
        while "idle" not in _sinfo():
            if time.monotonic() > deadline:
                raise RuntimeError((state / "slurmctld.log").read_text()[-2000:])
            time.sleep(0.1)
        yield here
    finally:
        with_jobs = subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=False).stdout
        if with_jobs.split():
            subprocess.run(["scancel", "--signal=KILL", *with_jobs.split()], check=False)
            time.sleep(1)
        _end_daemons(state)
        if own_munge:
            _end("munged", MUNGE_PID)
        for link in links:
            link.unlink(missing_ok=True)


def _ours(link: Path) -> bool:
    """Whether a configuration is a link into a folder of this module's."""
    return link.is_symlink() and link.readlink().parent.name.startswith(OURS)


def _sinfo() -> str:
    return subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False).stdout


def _end_daemons(state: Path) -> None:
    _end("slurmd", state / "slurmd-localhost.pid")
    _end("slurmctld", state / "slurmctld.pid")


def _end(daemon: str, file: Path) -> None:
    """End the daemon that wrote its process id there, and wait; not another process that has been given the id since."""
    try:
        process = int(file.read_text())
        if Path(f"/proc/{process}/comm").read_text().strip() != daemon:
            return
        os.kill(process, signal.SIGTERM)
        for _ in range(100):
            os.kill(process, 0)
            time.sleep(0.1)
        os.kill(process, signal.SIGKILL)
    except (OSError, ValueError):
        return
