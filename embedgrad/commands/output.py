"""What commands print, and where."""

import argparse
import json
import sys
from collections.abc import Callable

from embedgrad_core.files import printable


def plain_line(text: str) -> None:
    """One line of a log, at once; what strangers wrote cannot steer the terminal that shows it."""
    print(printable(text), flush=True)


def tell(arguments: argparse.Namespace, row: dict, text: str) -> None:
    """What a command has done, as JSON where that was asked for."""
    plain_line(json.dumps(row, sort_keys=True) if arguments.json else text)


def aside(text: str) -> None:
    """One line on standard error, where standard output belongs to the answer alone."""
    print(text, file=sys.stderr, flush=True)


def silent(text: str) -> None:
    """In place of :func:`aside` where not even that is wanted."""


def log_of(arguments: argparse.Namespace) -> Callable[[str], None]:
    """Where the lines about the work go: to the log, beside the JSON that was asked for, or nowhere."""
    if getattr(arguments, "log", None):
        return arguments.log
    return aside if getattr(arguments, "json", False) is True else plain_line
