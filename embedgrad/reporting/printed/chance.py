"""Every printed accuracy of a label task against chance and against always giving the commonest label (``config/chance.tsv``).

An accuracy below chance is no lack of knowledge: it means that answers were not read, or that the model was made to answer
something else. One that is near the commonest label's share may be that label, given to all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import binomtest

from embedgrad.reporting.printed.audit import Block, Finding, blocks
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.statistics import ALPHA, wilson
from embedgrad.reporting.tables import read_tsv
from embedgrad_core.files import UserError

COLUMNS = ("dataset", "classes", "commonest", "count", "items", "source")


@dataclass(frozen=True)
class Labels:
    """The labels of a data set: how many, the commonest one, and its items of all."""

    classes: int
    commonest: str
    count: int
    items: int


def read_labels(path: str | Path) -> dict[str, Labels]:
    """Data set → its labels.

    Raises:
        UserError: missing, other columns, or a value of the wrong kind; names file and line.
    """
    found = {}
    for number, row in read_tsv(path, COLUMNS, "config/chance.tsv"):
        try:
            one = Labels(int(row["classes"]), row["commonest"], int(row["count"]), int(row["items"]))
        except ValueError:
            raise UserError(f"{path}:{number}: classes, count and items must be whole numbers.") from None
        if not (one.classes > 1 and 0 < one.count <= one.items and one.count * one.classes >= one.items):
            raise UserError(
                f"{path}:{number}: {one.count} of {one.items} items cannot be the commonest of {one.classes} classes."
            )
        found[row["dataset"]] = one
    return found


def chance_findings(cells: Sequence[Cell], labels: dict[str, Labels]) -> list[Finding]:
    """A finding for each printed number of a label task; it holds where the number is above chance and above the commonest label.

    Where no test size fits a data set's percentages, half of its items are taken, and the sentence says so.
    """
    findings = []
    for block in blocks(cells):
        known = labels.get(block.dataset)
        for cell in block.cells if known else ():
            for place, side in enumerate(("before", "after")):
                if cell.paper and known:
                    count = _count(block, cell, place, known)
                    findings.append(_finding(cell, side, *count, known, block.n is None))
    return findings


def _count(block: Block, cell: Cell, place: int, known: Labels) -> tuple[int, int]:
    if block.n is not None:
        return block.counts(cell)[place], block.n
    n = (known.items + 1) // 2
    return round(float((cell.before, cell.after)[place] or 0) / 100 * n), n


def _finding(cell: Cell, side: str, count: int, n: int, known: Labels, assumed: bool) -> Finding:
    share, chance, common = count / n, 1 / known.classes, known.count / known.items
    against = [_word(count, n, level) for level in (chance, common)]
    low, high = (100 * end for end in wilson(count, n))
    size = f"{count} of {n}{' (assumed: half of the data set)' if assumed else ''}, {100 * share:.1f} % [{low:.1f}, {high:.1f}]"
    sentence = (
        f"{size}: {against[0][0]} chance, {100 * chance:.1f} % ({against[0][1]}); {against[1][0]} always {known.commonest!r}, "
        f"{100 * common:.1f} % ({against[1][1]})."
    )
    if side == "after" and against[0][0] == "below":
        sentence += (
            " It speaks against training on bare labels: a prompt that learns to give one of them is not below chance."
        )
    holds = all(word == "above" for word, _ in against)
    return Finding("above chance", f"{cell.name}/{side}", holds, f"{100 * share:.1f}", sentence)


def _word(count: int, n: int, level: float) -> tuple[str, str]:
    """Above, below or not apart from a share, by the exact binomial test (two-sided), and its p."""
    p = float(binomtest(count, n, level).pvalue)
    return (
        "not apart from" if p >= ALPHA else "above" if count > level * n else "below"
    ), f"p = {p:.2g}" if p else "p < 1e-300"
