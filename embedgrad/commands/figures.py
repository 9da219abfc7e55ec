"""The figures of a run, as PNG and PDF.

embedgrad figures before-after --cell-table config/cells.tsv --results results/paper --png before_after.png
"""

import argparse

from embedgrad.commands.checked import figure_file
from embedgrad.commands.output import plain_line
from embedgrad.commands.table2 import add_table_arguments, seeds_from

HELP = "figures as PNG and PDF"
FIGURES = ("before-after", "training-curves", "gain", "entropy", "anchoring", "lat", "ladder", "limits")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which figure, from where, to where."""
    parser.add_argument("figure", choices=FIGURES)
    add_table_arguments(parser)
    parser.add_argument("--png", type=figure_file)
    parser.add_argument("--pdf", type=figure_file)


def run(arguments: argparse.Namespace) -> None:
    """Draw and write."""
    from embedgrad.reporting.analyses import limit_rows
    from embedgrad.reporting.figures import accuracy, gain, ladder
    from embedgrad.reporting.figures.drawing import save
    from embedgrad.reporting.figures.lat import lat
    from embedgrad.reporting.figures.prompt import anchoring
    from embedgrad.reporting.ladder import ladder_rows
    from embedgrad.reporting.results.cells import read_cells
    from embedgrad.reporting.results.collected import collect

    name, folder = arguments.figure, arguments.results
    paths = [path for path in (arguments.png, arguments.pdf) if path]
    cells, seeds = read_cells(arguments.cell_table), seeds_from(arguments)
    if name in ("anchoring", "lat"):
        figure = (anchoring if name == "anchoring" else lat)(cells, folder, seeds)
    else:
        outcomes = collect(cells, folder, seeds)
        figure = {
            "before-after": lambda: accuracy.before_after(outcomes),
            "training-curves": lambda: accuracy.training_curves(outcomes, folder),
            "gain": lambda: gain.gain(outcomes),
            "entropy": lambda: gain.entropy(outcomes, folder),
            "ladder": lambda: ladder.ladder(ladder_rows(outcomes, folder)),
            "limits": lambda: ladder.limits(limit_rows(outcomes, folder)),
        }[name]()
    save(figure, *paths)
    plain_line(f"{name}: {', '.join(map(str, paths))}")
