"""The unit tier: no test in here starts a process, opens a network connection, or takes more than about a second.

What needs one, or takes longer, lies in tests/system.
"""

import multiprocessing.process
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Python's own audit events (docs.python.org/3/library/audit_events.html): whoever asks, whatever module it goes through.
PROCESSES = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "pty.spawn",
)
NETWORK = (
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
)
_seen: list[str] | None = None


def _watch(event: str, details: tuple) -> None:
    if _seen is None or event not in (*PROCESSES, *NETWORK):
        return
    kind = "a process is started" if event in PROCESSES else "the network is used"
    told = f"{kind} in the unit tier ({event} {details[:2]!r:.200}); such a test belongs in tests/system"
    _seen.append(told)
    raise AssertionError(told)


sys.addaudithook(_watch)  # for good: Python has no way to take one away, hence the list that arms it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator:
    """Armed from the first fixture of a test to its last, those of modules and sessions included."""
    global _seen
    if HERE not in item.path.parents:
        return (yield)
    _seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing.process.BaseProcess, "start", _started)
        patch.setattr("embedgrad.runtime.provenance.git_state", lambda: {"commit": None, "dirty": None})
        try:
            return (yield)
        finally:
            _seen = None


@pytest.fixture(autouse=True)
def _no_process_no_network() -> Iterator[None]:
    """Code that swallows the refusal fails its test all the same."""
    yield
    assert not _seen, _seen


def _started(process: multiprocessing.process.BaseProcess) -> None:
    """``multiprocessing`` forks below the audit events."""
    _watch("os.fork", (process.name,))
