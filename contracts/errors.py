"""The one error a user sees, and strangers' text made fit for a terminal."""

import unicodedata


class UserError(Exception):
    """Something the user can mend: one sentence that names the file, the line or key, and what to do.

    The command line prints the sentence without a traceback and exits with status 2. Characters that do not print, which a
    broken file or a name may bring along, are escaped: the sentence stays one line and cannot steer a terminal.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


def printable(text: str, keep: str = "") -> str:
    """The text with every character escaped that could steer a terminal, turn the reading direction or end a line.

    Args:
        text: whatever a file, a model or a hub says.
        keep: characters that stay all the same, e.g. line breaks.
    """
    return "".join(one if one in keep or _prints(one) else repr(one)[1:-1] for one in text)


def _prints(one: str) -> bool:
    # Python counts all spaces but the plain one as not printable; those of other scripts do no harm.
    return one.isprintable() or unicodedata.category(one) == "Zs"
