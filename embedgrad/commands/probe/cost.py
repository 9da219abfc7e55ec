r"""What a point of the gain costs: seconds, tokens, peak memory, and energy where the machine tells it.

embedgrad probe cost --cell-table config/demo_cells.tsv --dataset mood --model tiny-0.2m --metrics metrics.json \
    --history optimize.jsonl --benchmarks results/demo/benchmarks --out cost.json
"""

import argparse
import csv
import glob
from collections.abc import Sequence
from pathlib import Path

from embedgrad.commands.metrics import add_cell_arguments
from embedgrad_core.files import UserError

HELP = "seconds, tokens, memory and energy per point gained"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The cell, and what its steps left."""
    add_cell_arguments(parser)
    parser.add_argument("--metrics", required=True, type=Path, help="metrics.json of the cell")
    parser.add_argument("--history", required=True, type=Path, help="optimize.jsonl of the cell")
    parser.add_argument("--benchmarks", type=Path, help="Snakemake's benchmark files: results/<run>/benchmarks")


def found(arguments: argparse.Namespace) -> dict:
    """Read and count."""
    from embedgrad.probes.cost import STEPS, cost
    from embedgrad.reporting.results.cells import find_cell, read_cells
    from embedgrad.reporting.results.collected import read_metrics
    from embedgrad.reporting.results.history import history_of

    cell = find_cell(read_cells(arguments.cell_table), arguments.dataset, arguments.model, arguments.cell_table)
    metrics = read_metrics(arguments.metrics, cell, arguments.seed)
    # A step runs once per task and model, or once per cell and seed; shards have a file each, or there is one of the whole.
    names = (f"{cell.dataset}/{cell.model}/seed{arguments.seed}", f"{cell.task}/{cell.model}")
    jobs = {step: _jobs(arguments.benchmarks / step, names) for step in STEPS} if arguments.benchmarks else {}
    return cost(metrics, history_of(metrics, arguments.history), jobs)


def _jobs(folder: Path, names: Sequence[str]) -> list[dict]:
    paths = [folder / f"{name}.tsv" for name in names]
    paths += [path for name in names for path in sorted(folder.glob(f"{glob.escape(name)}.*-of-*.tsv"))]
    return [_line(path) for path in paths if path.exists()]


def _line(path: Path) -> dict:
    """The numbers of one benchmark file; what Snakemake could not tell (``NA``) is left out."""
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            *_, row = csv.DictReader(lines, delimiter="\t")
        return {key: float(row[key]) for key in ("s", "cpu_time", "max_rss") if row[key] not in ("-", "NA")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a benchmark file of Snakemake's ({error}); delete it.") from None
