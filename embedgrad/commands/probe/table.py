"""What a probe found of every cell of a run, as a table and a figure."""

import argparse

from embedgrad.commands.checked import figure_file, output_file
from embedgrad.commands.output import plain_line
from embedgrad.commands.table2 import add_table_arguments, seeds_from

HELP = "a probe over all cells, as table and figure"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which probe, from where, to where."""
    parser.add_argument("name", help="the probe")
    add_table_arguments(parser)
    parser.add_argument("--csv", required=True, type=output_file)
    parser.add_argument("--png", type=figure_file)
    parser.add_argument("--pdf", type=figure_file)


def run(arguments: argparse.Namespace) -> None:
    """Read, tabulate, draw."""
    from embedgrad.reporting.analyses import write_rows
    from embedgrad.reporting.figures.drawing import save
    from embedgrad.reporting.probes import PROBES, applying, drawn, found_by, rows
    from embedgrad.reporting.results.cells import read_cells
    from embedgrad.reporting.results.collected import collect
    from embedgrad.reporting.results.probes import flat
    from embedgrad_core.files import UserError

    if arguments.name not in PROBES:
        raise UserError(f"probe table: {arguments.name!r} is no probe; it must be one of {', '.join(PROBES)}.")
    outcomes = collect(read_cells(arguments.cell_table), arguments.results, seeds_from(arguments))
    found = found_by(arguments.name, outcomes, arguments.results)
    write_rows(flat(rows(arguments.name, found)), arguments.csv)
    if paths := [path for path in (arguments.png, arguments.pdf) if path]:
        save(drawn(arguments.name, found), *paths)
    plain_line(f"{arguments.csv}: {len(applying(found))} of {len(found)} cells; on the others it does not apply")
