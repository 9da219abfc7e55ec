"""Add up the ladder and the protocol recovery of all shards: they hold counts.

embedgrad gather-baselines --ladders s1.ladder.json s2.ladder.json --recoveries s1.recovery.json s2.recovery.json \
    --ladder ladder.json --recovery recovery.json
"""

import argparse
from pathlib import Path

from embedgrad.analyses.baselines.counts import added_grids, added_ladders, lines_by_rung
from embedgrad.commands.checked import output_file
from embedgrad.reporting.results.analyses import read_grid, read_shard_of_ladder
from embedgrad_core.files import read_jsonl, write_json, write_jsonl

HELP = "add up the baselines of shards"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Shards in, two files out."""
    parser.add_argument("--ladders", required=True, nargs="+", type=Path, help="the shards' ladders")
    parser.add_argument("--recoveries", required=True, nargs="+", type=Path, help="the shards' grids of protocols")
    parser.add_argument("--answers", nargs="+", type=Path, default=[], help="the shards' graded answers of all rungs")
    parser.add_argument("--ladder", required=True, type=output_file, help="JSON")
    parser.add_argument("--ladder-answers", type=output_file, help="JSON lines: those of --answers together")
    parser.add_argument("--recovery", required=True, type=output_file, help="JSON")


def run(arguments: argparse.Namespace) -> None:
    """Add up; write."""
    ladder = added_ladders([read_shard_of_ladder(path) for path in arguments.ladders], arguments.ladders)
    grid = added_grids([read_grid(path) for path in arguments.recoveries], arguments.recoveries)
    if arguments.ladder_answers:
        lines = lines_by_rung([read_jsonl(path, ("rung", "split")) for path in arguments.answers])
        write_jsonl(arguments.ladder_answers, lines)
    write_json(arguments.ladder, ladder)
    write_json(arguments.recovery, grid)
    print(f"{arguments.ladder}, {arguments.recovery}: {len(arguments.ladders)} shards")
