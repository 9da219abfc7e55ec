"""How a command ends before its time: SIGTERM, or the death of the Snakemake that started it.

A scheduler that wants its machine back sends SIGTERM and kills seconds later. Here it becomes an exception in the main thread,
like Ctrl-C: what is running saves its state and removes its temporary files on the way out. A second thread sees to it that the way
out is not endless, and that no job outlives the Snakemake that would run it a second time.
"""

import contextlib
import os
import select
import signal
import threading
import time
from types import FrameType

# Seconds between the signal and the end, come what may; schedulers grant 30 at least.
GRACE = 8.0
# Set by the workflow to its own process id.
PARENT = "EMBEDGRAD_PARENT"


class Terminated(KeyboardInterrupt):
    """SIGTERM. A KeyboardInterrupt, since the same things have to be put in order."""


def install() -> None:
    """Turn SIGTERM into :class:`Terminated` and watch over this process; once, from the main thread."""
    heard, speak = os.pipe()
    os.set_blocking(speak, False)
    # The C part of Python writes the signal's number here at once, even while the main thread is inside a long product.
    signal.set_wakeup_fd(speak, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, _terminate)
    threading.Thread(target=_watch, args=(heard, os.environ.get(PARENT)), name="interruption", daemon=True).start()


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not disturb the saving
    raise Terminated


def _watch(heard: int, parent: str | None) -> None:
    poll = select.poll()
    poll.register(heard, select.POLLIN)
    process = _open(parent)
    if process is not None:
        poll.register(process, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready == process:
                poll.unregister(process)
                os.kill(os.getpid(), signal.SIGTERM)
            elif signal.SIGTERM in os.read(heard, 64):
                time.sleep(GRACE)
                os._exit(128 + signal.SIGTERM)


def _open(parent: str | None) -> int | None:
    """A descriptor that becomes readable when the process ends."""
    if not parent or not hasattr(os, "pidfd_open"):  # Linux alone has it
        return None
    try:
        return os.pidfd_open(int(parent))
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(os.getpid(), signal.SIGTERM)
        return None
    except (OSError, ValueError):
        return None
