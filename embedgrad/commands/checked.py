"""What an argument may be, checked while the command line is read: before data, a model or hours of work."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from embedgrad_core.files import UserError, is_whole_text
from embedgrad_core.model.sizes import AUTO

LARGEST = 2**31 - 1
# Endings that figures are drawn in.
FIGURES = (".png", ".pdf", ".svg")
SHIPPED = "shipped"  # what a model's own files say


class OutputFile(type(Path())):  # type: ignore[misc]  # before Python 3.12 Path itself cannot be inherited from
    """A path that the command will write."""


def whole(least: int, most: int = LARGEST) -> Callable[[str], int]:
    """The type of a whole number in a range."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:  # no number, or one of thousands of digits
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"give a whole number from {least} to {most}, not {text[:40]!r}")
        return value

    return number


def rows(text: str) -> int | str:
    """The type of a number of rows decoded together, or ``auto``."""
    return text if text == AUTO else whole(1)(text)


def output_file(text: str) -> OutputFile:
    """The type of a file that will be written."""
    try:
        check_writable(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return OutputFile(text)


def figure_file(text: str) -> OutputFile:
    """The type of a picture that will be written."""
    if Path(text).suffix.lower() not in FIGURES:
        raise argparse.ArgumentTypeError(f"{text}: give a file name that ends in {', '.join(FIGURES)}")
    return output_file(text)


def some_text(text: str) -> str:
    """The type of a text that must hold a word."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; write at least one word")
    if not is_whole_text(text):
        raise argparse.ArgumentTypeError("it is not UTF-8 text; write it as UTF-8")
    return text


def text_of_file(name: str) -> str:
    """The type of a text that is read from a UTF-8 file; the line break at its end is the file's."""
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise argparse.ArgumentTypeError(f"{name}: cannot be read ({reason})") from None
    return some_text(text.removesuffix("\n").removesuffix("\r"))


def penalty(text: str) -> float | str:
    """The type of a repetition penalty: a number above 0, or the word for what a model's own files ask for."""
    if text == SHIPPED:
        return text
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"it is {text!r}; give a number above 0, such as 1.1, or {SHIPPED}")
    return number


def check_writable(path: str | Path) -> None:
    """Check that a file can be written at ``path``, without writing it.

    Raises:
        UserError: a folder or a device lies there, or its folder cannot be made or written to.
    """
    where = Path(path)
    if where.is_dir():
        raise UserError(f"{path or where}: is a folder; give the name of a file in it.")
    if where.exists() and not where.is_file():
        # Writing renames a whole file to this place: it would take the device's or the pipe's.
        raise UserError(f"{path}: is not an ordinary file; give the name of one.")
    folder = next(parent for parent in where.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise UserError(f"{path}: {folder} is a file, not a folder; give another place.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{path}: folder {folder} cannot be written to; give another place or fix its permissions.")


def check_outputs(arguments: argparse.Namespace) -> None:
    """Check that no file that the command will write is one that it reads, or that it writes twice.

    Raises:
        UserError: it is; names both arguments.
    """
    places: dict[Path, str] = {}
    values = {key: value for key, value in vars(arguments).items() if value}
    # What is read first, so that it is the output that is named as wrong.
    for key, value in sorted(values.items(), key=lambda pair: isinstance(pair[1], OutputFile)):
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, OutputFile):
                place = one.resolve()
                if place in places:
                    raise UserError(f"--{_flag(key)} {one} is the file of {places[place]} too; give another name.")
                places[place] = f"--{_flag(key)}"
            elif isinstance(one, Path) or (isinstance(one, str) and _is_file(one)):
                places[Path(one).resolve()] = f"--{_flag(key)}"


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # a prompt is not a file name
        return False


def _flag(key: str) -> str:
    return key.replace("_", "-")
