"""Which cards there are, and one job a card: on one machine nothing else deals them out.

A cluster's scheduler gives each job its cards through CUDA_VISIBLE_DEVICES. Snakemake by itself only counts them, so jobs on one
machine choose by kernel locks (flock), which end with their process.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from contracts import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held: list[int] = []


def visible() -> list[str]:
    """Names of the cards that this process may use, as CUDA_VISIBLE_DEVICES would name them."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name.strip() and name != "-1"]
    if shutil.which("nvidia-smi") is None:
        return []
    asked = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(number) for number, _ in enumerate(asked.stdout.splitlines())] if asked.returncode == 0 else []


def claim(count: int, poll: float = 1.0) -> None:
    """Take ``count`` of the visible cards for this process alone, waiting for them if need be.

    Nothing is taken where there are no more than that: a scheduler has dealt them out already. To be called before CUDA starts.

    Raises:
        UserError: the folder of locks cannot be written to.
    """
    names = visible()
    if count < 1 or len(names) <= count:
        return
    folder = Path(tempfile.gettempdir()) / f"embedgrad-cards-{os.getuid()}"
    waited = False
    while True:
        taken = _take(folder, names, count)
        if len(taken) == count:
            break
        for file in taken.values():
            os.close(file)
        if not waited:
            print(f"waiting for {count} of {len(names)} cards", flush=True)
            waited = True
        time.sleep(poll)
    _held.extend(taken.values())
    os.environ[VISIBLE] = ",".join(taken)


def _take(folder: Path, names: list[str], count: int) -> dict[str, int]:
    """The first ``count`` free cards and their locks' files; fewer if there are no more."""
    taken: dict[str, int] = {}
    for name in names:
        if len(taken) == count:
            break
        try:
            folder.mkdir(exist_ok=True)
            file = os.open(folder / f"{name.replace('/', '_')}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be written ({error.strerror}); set TMPDIR or CUDA_VISIBLE_DEVICES."
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken[name] = file
        except OSError:
            os.close(file)
    return taken
