"""Metrics of one cell and seed from its graded answers before and after.

Writes accuracies with Wilson intervals, the paired difference, the exact McNemar test, the failure taxonomy, entropy,
run information and the verdict against the paper as one JSON file.
"""

import argparse
from pathlib import Path

from embedgrad.commands.checked import output_file
from embedgrad.commands.output import plain_line

HELP = "metrics of one cell from its graded answers"
# What may be left out.
OPTIONAL = ("split", "history", "prompt", "before_run", "after_run", "optimize_run")


def add_cell_arguments(parser: argparse.ArgumentParser) -> None:
    """Which cell of which table."""
    parser.add_argument("--cell-table", required=True, type=Path, help="table of cells, like config/cells.tsv")
    parser.add_argument("--dataset", required=True, help="e.g. math500-L1")
    parser.add_argument("--model", required=True, help="name of the model in the table")
    parser.add_argument("--seed", type=int, default=0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The cell and its files."""
    add_cell_arguments(parser)
    parser.add_argument("--test", required=True, type=Path, help="test.jsonl of the task")
    parser.add_argument("--before", required=True, type=Path, help="graded answers of the text prompt")
    parser.add_argument("--after", required=True, type=Path, help="graded answers of the optimised prompt")
    for name in OPTIONAL:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path)
    parser.add_argument("--out", required=True, type=output_file)


def run(arguments: argparse.Namespace) -> None:
    """Compute and write."""
    from embedgrad.reporting.metrics import metrics_from_files
    from embedgrad.reporting.printed.audit import printed_sizes
    from embedgrad.reporting.results.cells import find_cell, read_cells

    table = read_cells(arguments.cell_table)
    cell = find_cell(table, arguments.dataset, arguments.model, arguments.cell_table)
    files = {name: getattr(arguments, name) for name in ("test", "before", "after", "out", *OPTIONAL)}
    sizes = printed_sizes([other for other in table if other.dataset == cell.dataset])
    metrics = metrics_from_files(cell, arguments.seed, **files, printed_n=sizes.get(cell.dataset))
    before, after = metrics["before"], metrics["after"]
    plain_line(
        f"{arguments.out}: {before['correct']} → {after['correct']} of {metrics['n']}, "
        f"McNemar p = {metrics['mcnemar']['p_exact']:.3g}"
    )
