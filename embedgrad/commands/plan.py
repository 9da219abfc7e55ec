r"""What a run needs on this machine or a named GPU, cell by cell, and what is missing. Runs nothing.

Forecasts are arithmetic from the models' shapes and a machine's rates; how long answers get is a guess. Models and data sets
are looked up in the mirror, the local cache and on the hub, where licence and gate are read. Exits with 1 if one is missing.

    embedgrad plan --config config/laptop.yaml
    embedgrad plan --config config/laptop.yaml config/rivals.yaml
    embedgrad plan --config config/paper.yaml --gpu h100
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedgrad.commands.output import plain_line
from embedgrad.runtime.clock import clock

if TYPE_CHECKING:  # the command line is read, and a bad one refused, without them
    from embedgrad.planning.access import Access
    from embedgrad.planning.forecast import CellForecast
    from embedgrad.planning.gpus import Machine
    from embedgrad.planning.run_config import RunConfig

HELP = "forecast a run's tokens, memory, time and disk, and list what is missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Configuration and machine."""
    parser.add_argument(
        "--config",
        nargs="+",
        default=[Path("config/paper.yaml")],
        type=Path,
        metavar="FILE",
        help="as --configfile of snakemake, later files on top; default: config/paper.yaml",
    )
    parser.add_argument(
        "--gpu",
        help="forecast for a GPU by its data sheet: h200, h100, a100-80, l40s, t4, …; default: the config's `gpu`",
    )
    parser.add_argument("--offline", action="store_true", help="do not ask the hub about what is not at hand")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> None:
    """Look up, forecast, print."""
    from embedgrad.carry.effort import carry_jobs
    from embedgrad.planning.access import look_up, look_up_data
    from embedgrad.planning.effort.probes import probe_jobs
    from embedgrad.planning.effort.rivals import rival_jobs
    from embedgrad.planning.forecast import forecast, outlook
    from embedgrad.planning.gpus import named_gpu
    from embedgrad.planning.machines import this_machine
    from embedgrad.planning.resources import Resources
    from embedgrad.planning.run_config import RunConfig
    from embedgrad_core.model.loading import use_threads

    config = RunConfig.read(*arguments.config)
    use_threads(config.values.get("threads"))
    device = config.values.get("device", "auto")
    resources = Resources(config, arguments.gpu)
    machine = named_gpu(resources.gpu) if resources.gpu else this_machine(device)
    models = config.values["models"]
    wanted = dict.fromkeys(cell.model for cell in config.cells)
    access = {
        name: look_up(name, models[name], config.model_folder(name), offline=arguments.offline) for name in wanted
    }
    data = {
        name: look_up_data(name, config.values["tasks"][name], config.mirror, offline=arguments.offline)
        for name in dict.fromkeys(cell.task for cell in config.cells)
    }
    rows = forecast(config, machine, resources)
    beside = {}  # what a run does beside its cells
    for key, what, jobs in (
        ("rivals", "fits, answers and timings", list(rival_jobs(config))),
        ("carry", "prompts carried over and searches for words", list(carry_jobs(config))),
        ("probes", "jobs on the first seeds", list(probe_jobs(config))),
    ):
        told = outlook(config, jobs, machine, resources)
        beside[key] = ", ".join(filter(None, [f"{len(jobs)} {what}", told])) if jobs else ""
    gpus = {name: max(resources.gpus(name, True), resources.gpus(name, False)) for name in wanted}
    missing = [f"{name}: {found.missing}" for name, found in (*access.items(), *data.items()) if found.missing]
    if not resources.gpu:
        missing += _too_large(rows, machine)
    needed = sum(found.bytes_to_fetch for found in access.values()) + sum(row.disk for row in rows)
    if needed > machine.disk:
        missing.append(f"disk: {_gigabytes(needed)} GB needed, {_gigabytes(machine.disk)} GB free.")
    if arguments.json:
        plain = {name: {k: v for k, v in asdict(found).items() if k != "shape"} for name, found in access.items()}
        sets = {name: {"where": found.where, "missing": found.missing} for name, found in data.items()}
        result: dict[str, Any] = {"machine": asdict(machine), "models": plain, "data": sets, "gpus": gpus, **beside}
        result |= {"cells": [asdict(row) for row in rows]}
        print(json.dumps(result | {"missing": missing}, indent=1))
    else:
        _print(config, machine, access, data, rows, beside, gpus, missing)
    if missing:
        sys.exit(1)


def _too_large(rows: "Sequence[CellForecast]", machine: "Machine") -> list[str]:
    largest = max(rows, key=lambda row: row.memory)
    if largest.fits:
        return []
    count = sum(not row.fits for row in rows)
    found = f"{count} of {len(rows)} cells, {largest.cell} with {_gigabytes(largest.memory)} GB the largest"
    return [f"memory: {found}, but {machine.name} has {_gigabytes(machine.memory)} GB; choose a larger one (--gpu)."]


def _print(
    config: "RunConfig",
    machine: "Machine",
    access: "Mapping[str, Access]",
    data: "Mapping[str, Access]",
    rows: "Sequence[CellForecast]",
    beside: Mapping[str, str],
    gpus: Mapping[str, int],
    missing: Sequence[str],
) -> None:
    plain_line(f"{config.run}: {len(rows)} cells on {machine.name}, one job at a time")
    width = max(len(row.cell) for row in rows)
    probed = any(row.probe_seconds for row in rows)
    column = "    probes" if probed else ""
    plain_line(f"{'cell':{width}}  train tokens  answer tokens  memory GB     train    answer{column}  disk MB")
    for row in rows:
        memory = f"{row.memory / 1e9:8.1f}{' ' if row.fits else '!'}"
        seconds = f"{clock(row.train_seconds):>8}  {clock(row.decode_seconds):>8}"
        seconds += f"  {clock(row.probe_seconds):>8}" if probed else ""
        plain_line(
            f"{row.cell:{width}}  {row.train_tokens:12,d}  {row.decode_tokens:13,d}  {memory}  {seconds}  {row.disk / 1e6:7.1f}"
        )
    train, decode = sum(row.train_seconds for row in rows), sum(row.decode_seconds for row in rows)
    counts = sorted({len(config.seeds(cell.task)) for cell in config.cells})
    seeds = f"{counts[0]} seed{'s' * (counts[0] > 1)}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    plain_line(f"in all {clock(train)} training, {clock(decode)} answering; × {seeds}")
    for key, told in beside.items():
        if told:
            plain_line(f"{key}: {told}")
    for name, found in access.items():
        fetch = f", {_gigabytes(found.bytes_to_fetch)} GB to download" if found.bytes_to_fetch else ""
        gate = ", gated: its licence was accepted" if found.gated and not found.missing else ""
        licence = f", licence {found.licence}" if found.licence else ""
        many = f", on {gpus[name]} GPUs" if gpus[name] > 1 else ""
        plain_line(f"model {name}: {found.where or 'missing'}{licence}{gate}{fetch}{many}")
    for name, found in data.items():
        where = f"in the mirror {config.mirror}" if found.where == "here" else found.where or "missing"
        plain_line(f"data set {name}: {where}")
    for line in missing:
        plain_line(f"missing: {line}")


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f}"
