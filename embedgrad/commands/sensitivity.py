"""Learning rate × epochs as a table and a heat map (Section 5.4), from the histories of a sweep."""

import argparse
from pathlib import Path

from embedgrad.commands.checked import figure_file, output_file
from embedgrad.commands.output import plain_line

HELP = "learning rate × epochs as table and heat map"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Histories in, table and figure out."""
    parser.add_argument(
        "--folder", required=True, type=Path, help="below it: <dataset>/<model>/lr<rate>/optimize.jsonl"
    )
    parser.add_argument("--histories", required=True, nargs="+", type=Path)
    parser.add_argument("--epochs", type=int, help="how many each history must have, unless it says that it stopped")
    parser.add_argument("--csv", required=True, type=output_file)
    parser.add_argument("--png", type=figure_file)
    parser.add_argument("--pdf", type=figure_file)


def run(arguments: argparse.Namespace) -> None:
    """Read, tabulate, draw."""
    from embedgrad.reporting.analyses import write_rows
    from embedgrad.reporting.figures.drawing import save
    from embedgrad.reporting.sensitivity import heat_map, read_curves, table

    curves = read_curves(arguments.histories, arguments.folder, arguments.epochs)
    rows = table(curves)
    write_rows(rows, arguments.csv)
    save(heat_map(curves), *[path for path in (arguments.png, arguments.pdf) if path])
    for row in rows:
        if row["best_rate"]:
            share = row["wins_resampled"]
            sure = "no interval" if share is None else f"best for {100 * share:.0f} % of resampled dev items"
            plain_line(
                f"{row['dataset']}/{row['model']}: best at {row['learning_rate']:g}, epoch {row['best_epoch']} ({sure})"
            )
