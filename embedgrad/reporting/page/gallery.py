"""``gallery.html``: what became of each prompt of a run, on one page; no network and no script."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from embedgrad.reporting.page.render import HERE, environment, hash_of, write_text


def write_gallery(entries: Sequence[dict], run: str, path: str | Path) -> None:
    """Write the page; equal entries give equal bytes.

    Args:
        entries: of :func:`embedgrad.analyses.gallery.gallery_entry`.
        run: what the page is called.
        path: the page.
    """
    style = "".join((HERE / name).read_text("utf-8") for name in ("style.css", "gallery.css"))
    told = [
        {
            **one,
            "kept": sum(row["kept"] for row in one["positions"]),
            "beyond": sum(beyond(row) for row in one["positions"]),
            "largest": max(row["drift"] for row in one["positions"]) or 1.0,
        }
        for one in entries
    ]
    template = environment().get_template("gallery.html.j2")
    write_text(template.render(entries=told, run=run, style=Markup(style), style_hash=hash_of(style)), path)


def beyond(row: dict) -> bool:
    """Whether a position moved towards some token more clearly than a random move does."""
    return row["random"] is not None and row["towards"][0]["cosine"] > row["random"]
