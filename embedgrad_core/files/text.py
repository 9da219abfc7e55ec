"""Strangers' text made fit for a terminal, for Markdown and for a spreadsheet."""

import re
import unicodedata

_MARKDOWN = {
    "\\": "\\\\",
    "|": "\\|",
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "`": "\\`",
    "*": "\\*",
    "~": "\\~",
    "$": "\\$",
}
# What would make a link, a picture or an address of its own; an interval such as [+1.0, +2.5] and a name such as a_b read better
# untouched, and nothing comes of them.
_LINKING = re.compile(
    r"\[(?![+−-]?\d)|\](?=[(\[:])|!(?=\[)|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.|@", re.IGNORECASE
)


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


def markdown_escape(text: str) -> str:
    """Text for a line or a table's cell of Markdown: no column, tag, emphasis, link, picture or formula comes out of it."""
    line = printable(" ".join(text.splitlines()))
    linking = {match.start() for match in _LINKING.finditer(line)}
    return "".join("\\" + char if place in linking else _MARKDOWN.get(char, char) for place, char in enumerate(line))


def fenced(text: str) -> str:
    """Text as a Markdown block that shows it as it is, whatever fences it holds itself."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}text\n{printable(text, keep=chr(10))}\n{fence}"


def sheet_cell(value: object) -> object:
    """A value for a CSV file: text that a spreadsheet would run as a formula gets an apostrophe in front, numbers stay."""
    if not isinstance(value, str) or not value.lstrip().startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
