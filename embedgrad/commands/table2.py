"""Table 2 from the metrics of a run, the paper's numbers beside ours, as CSV, Markdown and LaTeX.

Cells without metrics are shown as missing.

    embedgrad table2 --cell-table config/cells.tsv --results results/paper --markdown table2.md
"""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from embedgrad.commands.checked import output_file
from embedgrad.commands.output import plain_line
from embedgrad_core.files import write_whole

if TYPE_CHECKING:
    from embedgrad.reporting.results.cells import Seeds

HELP = "Table 2 as CSV, Markdown and LaTeX"


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """What both table and figures are drawn from."""
    parser.add_argument("--cell-table", required=True, type=Path, help="table of cells, like config/cells.tsv")
    parser.add_argument("--results", required=True, type=Path, help="results/<run>")
    parser.add_argument(
        "--seeds", help="seeds of the run, as in 0,1,2 or 0,1,2;math500=0; default: those that are there"
    )


def seeds_from(arguments: argparse.Namespace) -> "Seeds | None":
    """The seeds asked for, or None for those that are there."""
    from embedgrad.reporting.results.cells import Seeds

    return Seeds(arguments.seeds) if arguments.seeds else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Inputs and the three outputs."""
    add_table_arguments(parser)
    parser.add_argument("--csv", type=output_file, help="machine-readable, full precision")
    parser.add_argument("--markdown", type=output_file)
    parser.add_argument("--latex", type=output_file)
    parser.add_argument(
        "--references", type=Path, help="config/references.tsv: what others measured on untouched weights"
    )


def run(arguments: argparse.Namespace) -> None:
    """Collect and write."""
    from embedgrad.reporting import table2
    from embedgrad.reporting.printed.references import read_references
    from embedgrad.reporting.results.cells import read_cells
    from embedgrad.reporting.results.collected import collect

    outcomes = collect(read_cells(arguments.cell_table), arguments.results, seeds_from(arguments))
    references = read_references(arguments.references) if arguments.references else {}
    for path, text in (
        (arguments.csv, partial(table2.as_csv, references=references)),
        (arguments.markdown, partial(table2.markdown, references=references)),
        (arguments.latex, table2.latex),
    ):
        if path:
            with write_whole(path) as temporary:
                temporary.write_text(text(outcomes), encoding="utf-8", newline="")
    filled = sum(bool(outcome.metrics) for outcome in outcomes)
    plain_line(f"table 2: {filled} of {len(outcomes)} cells filled")
