r"""What a single split's result is worth: how much of the gain's spread is the items', the split's, the order's, the start's.

Reads the answers of one cell from this run and from others with another split.seed or displacement_seed; nothing is decoded.

embedgrad probe variance --cell-table config/demo_cells.tsv --dataset mood --model tiny-0.2m \
    --results results/demo results/demo-split1 results/demo-split2 --out variance.json
"""

import argparse
from pathlib import Path

from embedgrad.commands.metrics import add_cell_arguments

HELP = "what a single split's result is worth: variance over items, splits, orders and starts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The cell, and where its runs lie."""
    add_cell_arguments(parser)
    parser.add_argument(
        "--results",
        required=True,
        nargs="+",
        type=Path,
        help="results/<run> of each split or displacement, this run's first",
    )


def found(arguments: argparse.Namespace) -> dict:
    """Read the runs, estimate."""
    from embedgrad.probes.variance.gain import variance
    from embedgrad.probes.variance.runs import cell_runs
    from embedgrad.reporting.results.cells import find_cell, read_cells

    cell = find_cell(read_cells(arguments.cell_table), arguments.dataset, arguments.model, arguments.cell_table)
    return variance(cell_runs(cell, arguments.results))
