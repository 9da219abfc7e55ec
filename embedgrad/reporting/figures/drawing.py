"""One look for all figures, and files that are the same bytes whenever the same numbers are drawn."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from embedgrad_core.files import UserError, write_whole

# Okabe and Ito's colours, which every kind of colour vision distinguishes; shapes differ too, for print without colour.
BEFORE, AFTER, ACCENT = "#D55E00", "#0072B2", "#009E73"
INK, GREY, LINK, FAINT = "#222222", "#767676", "#B5B5B5", "#DDDDDD"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same letters
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.8,
    "pdf.fonttype": 42,
    "savefig.facecolor": "white",
}
DPI = 200
# No dates, no tool names.
_METADATA = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw inside this block; matplotlib's own settings come back afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def save(figure: Figure, *paths: str | Path) -> None:
    """Save as PNG, PDF or SVG, by the ending of each path; whole or not at all, without dates or tool names.

    Raises:
        UserError: another ending, or a place that cannot be written to.
    """
    for path in map(Path, paths):
        kind = path.suffix.removeprefix(".").lower()
        if kind not in _METADATA:
            raise UserError(f"{path}: only .png, .pdf and .svg are drawn; give one of these endings.")
        with write_whole(path) as temporary:
            _draw(figure, temporary, kind)


def as_svg(figure: Figure) -> bytes:
    """A figure as SVG, in memory: nothing lies in a temporary folder if the process is killed."""
    into = io.BytesIO()
    _draw(figure, into, "svg")
    return into.getvalue()


def _draw(figure: Figure, into: Path | io.BytesIO, kind: str) -> None:
    with matplotlib.rc_context({"svg.hashsalt": "embedgrad"}):
        figure.savefig(into, format=kind, dpi=DPI, metadata=_METADATA[kind])
