"""The figures of a run, as PNG and PDF.

embedgrad figures before-after --cell-table config/cells.tsv --results results/paper --png before_after.png
"""

import argparse

from embedgrad.commands.arguments import plain_line
from embedgrad.commands.checked import figure_file
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
    from embedgrad.reporting.figures.accuracy import draw_before_after, draw_training_curves
    from embedgrad.reporting.figures.drawing import save
    from embedgrad.reporting.figures.gain import entropy, gain
    from embedgrad.reporting.figures.ladder import ladder, limits
    from embedgrad.reporting.figures.prompt import draw_anchoring, draw_lat
    from embedgrad.reporting.ladder import ladder_rows
    from embedgrad.reporting.results.cells import read_cells
    from embedgrad.reporting.results.collected import collect

    paths = [path for path in (arguments.png, arguments.pdf) if path]
    cells, seeds = read_cells(arguments.cell_table), seeds_from(arguments)
    if arguments.figure in ("anchoring", "lat"):
        draw = draw_anchoring if arguments.figure == "anchoring" else draw_lat
        draw(cells, arguments.results, seeds, *paths)
    else:
        outcomes = collect(cells, arguments.results, seeds)
        if arguments.figure == "before-after":
            draw_before_after(outcomes, *paths)
        elif arguments.figure == "ladder":
            save(ladder(ladder_rows(outcomes, arguments.results)), *paths)
        elif arguments.figure == "limits":
            save(limits(limit_rows(outcomes, arguments.results)), *paths)
        elif arguments.figure == "gain":
            save(gain(outcomes), *paths)
        elif arguments.figure == "entropy":
            save(entropy(outcomes, arguments.results), *paths)
        else:
            draw_training_curves(outcomes, arguments.results, *paths)
    plain_line(f"{arguments.figure}: {', '.join(map(str, paths))}")
