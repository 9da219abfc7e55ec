"""Whether files in the hub's cache are still what the hub sent: there each is named by the hash that the hub gave for it.

The hub's client looks at sizes alone, when it downloads as when it finds a file again.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from embedgrad_core.files.atomic import sha256_of_file
from embedgrad_core.files.errors import UserError

_SHA256, _GIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
# Weights in formats that this suite never reads.
_NEVER_READ = {".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack"}


def check_snapshot(snapshot: str | Path, what: str) -> None:
    """Hash the files of a snapshot folder (``…/snapshots/<commit>``) and of its subfolders against their names.

    A file that is not a link into ``blobs``, as where links are impossible, has no such name and is not checked; nor is one in a
    format that this suite never reads (pickled weights).

    Args:
        snapshot: the folder; one that is not there holds nothing.
        what: how the message calls the model or data set.

    Raises:
        UserError: a file that changed on disk or came over the network damaged; names it and what to delete.
    """
    for path, blob in _links(Path(snapshot)):
        if _SHA256.fullmatch(blob.name):
            sound = sha256_of_file(blob) == blob.name
        elif _GIT.fullmatch(blob.name):
            sound = _git_hash(blob) == blob.name
        else:
            continue
        if not sound:
            raise UserError(
                f"{what}: {path.name} in the hub's cache is not what the hub sent: the disk or the download damaged it. "
                f"Delete {blob}, and it is fetched again."
            )


def _links(snapshot: Path) -> Iterator[tuple[Path, Path]]:
    for path in sorted(snapshot.rglob("*")):
        if path.is_symlink() and path.suffix not in _NEVER_READ and path.is_file():
            blob = path.resolve()
            if blob.parent.name == "blobs":
                yield path, blob


def _git_hash(path: Path) -> str:
    """Of a file that git keeps itself: small ones, like configurations."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
