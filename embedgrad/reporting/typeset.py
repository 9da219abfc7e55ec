"""Text that is safe in LaTeX tables, and Markdown tables that line up; Markdown's own escapes are in ``embedgrad_core.files``."""

from collections.abc import Collection, Sequence

from rich.cells import cell_len

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a line break \\ a bare bracket would be its argument
    "]": "{]}",
    "→": r"$\to$",
    "×": r"$\times$",
    "–": "--",
    "−": "$-$",
}


def short(text: str, limit: int = 60) -> str:
    """One line of at most ``limit`` printable characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def short_p(p: float | None) -> str:
    """A p-value with as many digits as it is worth, a dash for none."""
    if p is None:
        return "–"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def short_count(value: int | None) -> str:
    """A large number in thousands or millions, to three digits; nothing for None."""
    if value is None:
        return ""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


def latex_escape(text: str) -> str:
    """Text for one cell of a LaTeX table; a sign before a digit is set as mathematics."""
    out = []
    for place, char in enumerate(text):
        if char in "+-" and text[place + 1 : place + 2].isdigit() and (place == 0 or text[place - 1] in " ([e"):
            out.append(f"${char}$")
        else:
            # Only LaTeX's own alphabet goes through as it is; other scripts would need a font.
            out.append(_LATEX.get(char, char if char.isascii() and char.isprintable() else "?"))
    return "".join(out)


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str]], left: Collection[str]) -> str:
    """A pipe table with padded columns; columns named in ``left`` lie to the left, the others to the right."""
    widths = [max(3, *(cell_len(line[place]) for line in [head, *body])) for place in range(len(head))]

    def line(fields: Sequence[str]) -> str:
        padded = []
        for name, field, columns in zip(head, fields, widths, strict=True):
            space = " " * (columns - cell_len(field))
            padded.append(field + space if name in left else space + field)
        return "| " + " | ".join(padded) + " |"

    rule = "| " + " | ".join(
        "-" * columns if name in left else "-" * (columns - 1) + ":" for name, columns in zip(head, widths, strict=True)
    )
    return "\n".join([line(head), rule + " |", *(line(fields) for fields in body)])
