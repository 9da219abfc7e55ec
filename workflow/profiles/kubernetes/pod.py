"""Process 1 of a pod: runs a shell command in a process group of its own and hands SIGTERM on to all of it.

The kernel drops signals that process 1 has no handler for, and a shell has none. Without this a preempted optimisation would be
killed after the grace period with nothing saved.
"""

import contextlib
import os
import signal
import sys


def main(command: str) -> int:
    """Run ``command``; its exit status. After a signal only when all have ended: the kernel kills what outlives process 1."""
    signalled = False
    child = os.posix_spawn("/bin/sh", ["/bin/sh", "-c", command], os.environ, setpgroup=0)

    def hand_on(number: int, _: object) -> None:
        nonlocal signalled
        signalled = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hand_on)
    code = None
    while code is None or signalled:
        try:
            process, status = os.wait()  # orphans end up here too
        except ChildProcessError:
            break
        if process == child:
            code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
