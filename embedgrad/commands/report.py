"""One page of a run: verdict, Table 2, figures, analyses, and every cell with example answers and provenance.

embedgrad report --cell-table config/cells.tsv --results results/paper --out results/paper/report.html
"""

import argparse

from embedgrad.commands.checked import output_file
from embedgrad.commands.output import plain_line
from embedgrad.commands.table2 import add_table_arguments, seeds_from

HELP = "the run on one HTML page (report.html)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where, to where."""
    add_table_arguments(parser)
    parser.add_argument("--command-line", default="snakemake --cores 2 --config", help="how a cell is made, as shown")
    parser.add_argument("--out", required=True, type=output_file, help="the page")


def run(arguments: argparse.Namespace) -> None:
    """Collect and write."""
    from embedgrad.reporting.page import write_page
    from embedgrad.reporting.results.cells import read_cells
    from embedgrad.reporting.results.collected import collect

    cells, seeds = read_cells(arguments.cell_table), seeds_from(arguments)
    outcomes = collect(cells, arguments.results, seeds)
    write_page(outcomes, cells, arguments.results, arguments.out, seeds=seeds, command=arguments.command_line)
    plain_line(f"{arguments.out}: {sum(bool(o.metrics) for o in outcomes)} of {len(outcomes)} cells")
