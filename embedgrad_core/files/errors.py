"""The one error a user sees."""

from embedgrad_core.files.text import printable


class UserError(Exception):
    """Something the user can fix: one sentence that names the file, the line or key, and what to do.

    The command line prints the sentence without a traceback and exits with status 2. Characters that do not print, which a
    broken file or a name may bring along, are escaped: the sentence stays one line and cannot steer a terminal.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


def reason_of(error: BaseException) -> str:
    """What an exception of another library says, for one line of ours: its first line, or its kind where it says nothing."""
    said = str(getattr(error, "stderr", None) or "").strip() or str(error).strip() or type(error).__name__
    return said.splitlines()[0][:200]
