"""A folder that appears whole or not at all, as :func:`embedgrad_core.files.write_whole` does for a file."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from embedgrad_core.files.atomic import TEMPORARY, flush_folder
from embedgrad_core.files.errors import UserError


def check_new_folder(out: str | Path) -> None:
    """Check that nothing lies at ``out`` but an empty folder.

    Raises:
        UserError: something does.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists already; give a new folder, or delete it first.")


@contextlib.contextmanager
def whole_folder(out: str | Path, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``out``; rename it to ``out`` if the block succeeds.

    Args:
        out: the folder to make.
        replace: whether what lies there gives way, once the new one is whole.

    Raises:
        UserError: ``out`` exists and is not empty, or cannot be written.
    """
    out = Path(out)
    if not replace:
        check_new_folder(out)
    temporary = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=TEMPORARY))
        yield temporary
        for path in (path for path in temporary.rglob("*") if path.is_file()):
            with path.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.chmod(0o755)
        if out.is_dir():
            shutil.rmtree(out)
        temporary.rename(out)
        flush_folder(out.parent)
    except Exception as error:
        # What tokenizers raises when it cannot write is a bare Exception with the system's words.
        if not isinstance(error, OSError | SafetensorError) and "(os error " not in str(error):
            raise
        message = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise UserError(
            f"{out}: cannot be written ({message}); fix that (space, permissions) and run the same step again."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
