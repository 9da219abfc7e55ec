"""What is left of a run's optimised prompts on other models, or in words, as a table and a figure.

embedgrad carried transfer --found results/laptop/carry/*/*/from/*/transfer.json --csv transfer.csv --md transfer.md
"""

import argparse
from pathlib import Path

from embedgrad.commands.checked import figure_file, output_file
from embedgrad.commands.output import plain_line
from embedgrad_core.files import write_whole

HELP = "what is left of prompts on other models or in words, as a table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which table, from where, to where."""
    parser.add_argument("kind", choices=["transfer", "words"], help="which reports they are")
    parser.add_argument("--found", nargs="+", required=True, type=Path, help="reports, in a run's folders")
    parser.add_argument("--csv", required=True, type=output_file)
    parser.add_argument("--md", required=True, type=output_file)
    parser.add_argument("--png", type=figure_file)
    parser.add_argument("--pdf", type=figure_file)


def run(arguments: argparse.Namespace) -> None:
    """Read, tabulate, draw."""
    from embedgrad.reporting.analyses import write_rows
    from embedgrad.reporting.carried import KINDS, csv_rows, markdown, rows
    from embedgrad.reporting.figures.carried import elsewhere
    from embedgrad.reporting.figures.drawing import save

    kind = KINDS[arguments.kind]
    reports = [kind.read(path) for path in arguments.found]
    lines, sentence = rows(reports), kind.sentence(reports)
    write_rows(csv_rows(lines), arguments.csv)
    with write_whole(arguments.md) as temporary:
        temporary.write_text(markdown(lines, sentence), encoding="utf-8")
    if paths := [path for path in (arguments.png, arguments.pdf) if path]:
        save(elsewhere(reports), *paths)
    plain_line(f"{arguments.csv}: {len(reports)} reports")
    plain_line(sentence)
