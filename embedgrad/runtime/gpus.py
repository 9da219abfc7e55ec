"""Which GPUs there are, and one job per GPU: on one machine nothing else assigns them.

A cluster's scheduler gives each job its GPUs through CUDA_VISIBLE_DEVICES. Snakemake by itself only counts them, so jobs on one
machine choose by kernel locks (flock), which end with their process.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from itertools import takewhile
from pathlib import Path

from embedgrad_core.files import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held: list[int] = []


def visible() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES would name them.

    A GPU that is divided (MIG) counts as its parts. As CUDA does it, an invalid name ends the list.
    """
    if VISIBLE in os.environ:
        told = (name.strip() for name in os.environ[VISIBLE].split(","))
        return list(takewhile(lambda name: name not in ("", "-1", "NoDevFiles", "none", "void"), told))
    names: list[str] = []
    for index, parts in enumerate(_listed()):
        names += parts[1:] or [str(index)]
    return names


def _listed() -> list[list[str]]:
    """Of each GPU the UUID, and those of its parts if it is divided."""
    if shutil.which("nvidia-smi") is None:
        return []
    asked = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    found: list[list[str]] = []
    for line in asked.stdout.splitlines() if asked.returncode == 0 else ():
        uuid = re.search(r"\(UUID: (.*)\)", line)
        if line.startswith("GPU "):
            found.append([uuid[1] if uuid else ""])
        elif found and uuid:
            found[-1].append(uuid[1])
    return found


def claim(count: int, poll: float = 1.0) -> None:
    """Take ``count`` of the visible GPUs for this process alone, waiting for them if need be.

    Nothing is taken where there are no more than that: a scheduler has assigned them already. To be called before CUDA starts.

    Raises:
        UserError: the folder of locks cannot be written to.
    """
    names = visible()
    if count < 1 or len(names) <= count:
        return
    folder = Path(tempfile.gettempdir()) / f"embedgrad-gpus-{os.getuid()}"
    # One lock per GPU, whether a shell names it by its number or its UUID.
    uuids = {str(index): parts[0] for index, parts in enumerate(_listed()) if parts[0]}
    locks = {name: folder / f"{uuids.get(name, name).replace('/', '_')}.lock" for name in names}
    waited = False
    while True:
        taken = _take(locks, count)
        if len(taken) == count:
            break
        for file in taken.values():
            os.close(file)
        if not waited:
            print(f"waiting for {count} of {len(names)} GPUs", flush=True)
            waited = True
        time.sleep(poll)
    _held.extend(taken.values())
    os.environ[VISIBLE] = ",".join(taken)


def _take(locks: dict[str, Path], count: int) -> dict[str, int]:
    """The first ``count`` free GPUs and their locks' files; fewer if there are no more."""
    taken: dict[str, int] = {}
    for name, path in locks.items():
        if len(taken) == count:
            break
        try:
            path.parent.mkdir(exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(
                f"{path.parent}: cannot be written ({error.strerror}); set TMPDIR or CUDA_VISIBLE_DEVICES."
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken[name] = file
        except OSError:
            os.close(file)
    return taken
