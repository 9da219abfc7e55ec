"""One look for all figures, and files that are the same bytes whenever the same numbers are drawn."""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image

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
    "svg.hashsalt": "embedgrad",
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
    """Draw inside this block, or this function; matplotlib's own settings come back afterwards."""
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
    return _in_memory(figure, "svg")


def as_png(figure: Figure) -> bytes:
    """A figure as PNG, in memory."""
    return _in_memory(figure, "png")


def _in_memory(figure: Figure, kind: str) -> bytes:
    into = io.BytesIO()
    _draw(figure, into, kind)
    return into.getvalue()


@styled()
def _draw(figure: Figure, into: Path | io.BytesIO, kind: str) -> None:
    if kind != "png":
        figure.savefig(into, format=kind, dpi=DPI, metadata=_METADATA[kind])
        return
    drawn = io.BytesIO()
    figure.savefig(drawn, format=kind, dpi=DPI, metadata=_METADATA[kind])
    with Image.open(drawn) as picture:  # lines and letters have few colours: a palette makes the file a third as large
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(into, kind, optimize=True, dpi=(DPI, DPI))


def panels(
    figure: Figure, count: int, columns: int, margins: tuple[float, float, float, float], **gaps: float
) -> Iterator[Axes]:
    """Axes in rows of ``columns``; ``margins`` are inches left free at left, right, top and bottom, ``gaps`` as of a grid."""
    (width, height), (left, right, top, bottom) = figure.get_size_inches(), margins
    grid = figure.add_gridspec(
        math.ceil(count / columns),
        columns,
        left=left / width,
        right=1 - right / width,
        top=1 - top / height,
        bottom=bottom / height,
        **gaps,
    )
    yield from (figure.add_subplot(grid[divmod(place, columns)]) for place in range(count))


def title(axes: Axes, text: str) -> None:
    """Title a panel, in small letters like its ticks."""
    axes.set_title(text, fontsize=7.5, loc="left", parse_math=False)
    axes.tick_params(labelsize=7)


def note(axes: Axes, text: str) -> None:
    """Say in the middle of a panel why nothing is drawn there."""
    style: dict[str, Any] = {"fontsize": 8, "style": "italic", "color": GREY, "parse_math": False}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", **style)


def name_axes(figure: Figure, across: str, up: str) -> None:
    """What all panels share."""
    figure.supxlabel(across, fontsize=9, y=0.12 / figure.get_figheight())
    figure.supylabel(up, fontsize=9, x=0.08 / figure.get_figwidth())


def logarithmic(axes: Axes, subs: Sequence[int]) -> None:
    """A logarithmic axis of losses, labelled with plain numbers at these multiples of powers of ten."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())  # 2 × 10⁻¹ would not fit beside the panel


def legend(figure: Figure, handles: Sequence[Artist], columns: int = 4) -> None:
    """A legend above all panels."""
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 1.0)}
    figure.legend(handles=handles, ncols=columns, frameon=False, fontsize=8, **place)
