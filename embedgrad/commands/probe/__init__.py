r"""What a gain is made of: one probe of one cell, as JSON; and the table of a probe over all cells.

embedgrad probe cost --cell-table config/demo_cells.tsv --dataset mood --model tiny-0.2m --metrics metrics.json \
    --history optimize.jsonl --out cost.json
embedgrad probe table cost --cell-table config/demo_cells.tsv --results results/demo --csv cost.csv --png cost.png
"""

import argparse

from embedgrad.commands.checked import output_file
from embedgrad.commands.output import plain_line
from embedgrad.commands.probe import (
    calibration,
    contamination,
    cost,
    robustness,
    shuffled,
    table,
    trajectory,
    transfer_matrix,
    variance,
)
from embedgrad_core.files import write_json

HELP = "what a gain is made of: format, knowledge, memory or luck"
# Each has HELP, ``add_arguments``, and ``found``: arguments → what the probe found, which is written to --out.
PROBES = {
    "calibration": calibration,
    "shuffled": shuffled,
    "trajectory": trajectory,
    "contamination": contamination,
    "robustness": robustness,
    "variance": variance,
    "transfer_matrix": transfer_matrix,
    "cost": cost,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The probes, each with its own arguments."""
    names = parser.add_subparsers(dest="probe", required=True, metavar="NAME")
    for name, module in PROBES.items():
        sub = names.add_parser(
            name,
            help=module.HELP.replace("%", "%%"),  # argparse formats it
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        sub.add_argument("--out", required=True, type=output_file, help="JSON: what the probe found")
    table.add_arguments(names.add_parser("table", help=table.HELP, description=table.__doc__))


def run(arguments: argparse.Namespace) -> None:
    """Probe and write, or tabulate."""
    if arguments.probe == "table":
        table.run(arguments)
        return
    from embedgrad.probes.applies import result_of

    result = result_of(arguments.probe, lambda: PROBES[arguments.probe].found(arguments))
    write_json(arguments.out, result)
    plain_line(f"{arguments.out}: " + ("done" if result["applies"] else f"does not apply: {result['reason']}"))
