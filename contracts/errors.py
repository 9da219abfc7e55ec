"""The one error a user sees."""


class UserError(Exception):
    """Something the user can mend: one sentence that names the file, the line or key, and what to do.

    The command line prints the sentence without a traceback and exits with status 2. Characters that do not print, which a
    broken file or a name may bring along, are escaped: the sentence stays one line and cannot steer a terminal.
    """

    def __str__(self) -> str:
        text = super().__str__()
        return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
