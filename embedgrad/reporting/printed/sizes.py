"""On how many items the paper measured a cell, as far as its percentages tell (``embedgrad/reporting/printed/audit.py``)."""

from collections.abc import Sequence

from embedgrad.reporting.printed.audit import blocks
from embedgrad.reporting.results.cells import Cell


def printed_sizes(cells: Sequence[Cell]) -> dict[str, int | None]:
    """The smallest test size that fits all percentages of a data set, by ``Cell.dataset``; None where none fits.

    Data sets for which nothing is printed are left out.
    """
    return {block.dataset: block.n for block in blocks(cells)}
