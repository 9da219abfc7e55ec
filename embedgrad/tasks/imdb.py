"""IMDB: long film reviews, positive or negative (Large Movie Review Dataset, Maas et al., ACL 2011).

One item as ``load`` makes it (invented in the style of the set; class "negative"; ``_1`` is the rating out of 10):

    id      imdb/test/neg/123_1
    input   I wanted to like this.<br /><br />The cast is fine, but the story stops after ten minutes and never ...
    target  negative
    answer  negative

Hub: ``stanfordnlp/imdb``, config plain_text, split test (25,000 rows). The mirror holds 2,000 rows of that split,
picked by the sha256 of their file name among the texts that occur once; provenance says so.
Source: https://ai.stanford.edu/~amaas/data/sentiment/ Licence: none stated; its authors ask for the citation above.

Traps: the paper's counts fit 84 test reviews (or a multiple), so the suite draws a pool of 168 and halves it (``pool``
of ``embedgrad.tasks.splitting.prepare``). The hub's rows are sorted by label: the first N are of one class. The hub
has no file names, so its ids carry the row number and differ from the mirror's. ``<br /><br />`` marks a paragraph in
more than half of the reviews and is kept unchanged unless asked otherwise: nothing says that the paper removed it. 123 texts
stand in both the train and the test split, which is one more reason to draw from test alone.
"""

from pathlib import Path

from embedgrad.tasks.loaded import Loaded
from embedgrad.tasks.source import Source, read
from embedgrad.tasks.targets import LABEL, with_targets
from embedgrad_core.files import Item, UserError

EVALUATOR = "label"
LABELS = ("positive", "negative")
REVISION = "main"
SOURCE = Source(
    file="imdb_subset.jsonl",
    sha256="dd88a9c55cf832ea2ad640789e626d67aedd15e520bee57450809029b7cdfd3d",
    mirror_columns=("id", "split", "label", "text"),
    hub_id="stanfordnlp/imdb",
    config="plain_text",
    split="test",
    hub_columns=("text", "label"),
    hub_rows=25000,
    licence="none stated (citation asked: Maas et al., ACL 2011); reviews are IMDb users' texts",
)
_WORDS = {0: "negative", 1: "positive"}
_BREAKS = {"keep": "<br />", "newline": "\n"}


def load(mirror: Path | None, *, revision: str = REVISION, line_breaks: str = "keep", target: str = LABEL) -> Loaded:
    r"""The official test reviews: 25,000 from the hub, 2,000 of them from the mirror; class = label.

    Args:
        mirror: folder with ``data/imdb_subset.jsonl``, or None for the hub.
        revision: branch, tag or commit on the hub.
        target: what Eq. 6 is trained on, see :mod:`embedgrad.tasks.targets`.
        line_breaks: "keep" leaves ``<br />`` as it is, "newline" writes ``\n`` for each.

    Raises:
        UserError: an unknown ``line_breaks`` or ``target``, a label that is neither 0 nor 1, or the source cannot be read.
    """
    if line_breaks not in _BREAKS:
        raise UserError(f"imdb: option line_breaks is {line_breaks!r}; choose 'keep' or 'newline'.")
    rows, provenance = read(SOURCE, mirror, revision)
    if provenance["kind"] == "mirror":
        named = [(row["id"].removesuffix(".txt"), row) for row in rows if row["split"] == "test"]
        provenance["note"] = f"the mirror holds {len(named)} of the 25,000 rows of the official test split"
    else:
        named = [(f"test/{'pos' if row['label'] else 'neg'}/row-{place:05d}", row) for place, row in enumerate(rows)]
    items = with_targets("imdb", [_item(name, row, _BREAKS[line_breaks]) for name, row in named], target)
    return Loaded(items, [item.answer for item in items], provenance)


def _item(name: str, row: dict, line_break: str) -> Item:
    if row["label"] not in _WORDS:
        raise UserError(f"imdb: row {name} has label {row['label']!r}; only 0 and 1 are known, give an older revision.")
    word = _WORDS[row["label"]]
    return Item(id=f"imdb/{name}", input=row["text"].replace("<br />", line_break), target=word, answer=word)
