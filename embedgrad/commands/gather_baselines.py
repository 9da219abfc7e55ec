"""Add up the ladder and the protocol recovery of all shards: they hold counts.

embedgrad gather-baselines --ladders s1.ladder.json s2.ladder.json --recoveries s1.recovery.json s2.recovery.json \
    --ladder ladder.json --recovery recovery.json
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from embedgrad.commands.checked import output_file
from embedgrad.reporting.results.reports import read_grid, read_ladder
from embedgrad_core.files import UserError, misfit, read_jsonl, write_json, write_jsonl

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
    """Add up; write.

    Raises:
        UserError: shards that were answered differently; names the file.
    """
    ladders = _alike(arguments.ladders, partial(read_ladder, least=0), ("decoding", "versions"))
    rungs = {name: _sum_of_rungs([ladder["rungs"][name] for ladder in ladders]) for name in ladders[0]["rungs"]}
    grids = _alike(arguments.recoveries, read_grid, ("own", "versions"))
    protocols = [
        {"protocol": same[0]["protocol"], "levels": _sum([one["levels"] for one in same])}
        for same in zip(*(grid["protocols"] for grid in grids), strict=True)
    ]
    if arguments.ladder_answers:
        write_jsonl(
            arguments.ladder_answers, _by_rung([read_jsonl(path, ("rung", "split")) for path in arguments.answers])
        )
    write_json(arguments.ladder, ladders[0] | {"rungs": rungs})
    write_json(arguments.recovery, grids[0] | {"protocols": protocols})
    print(f"{arguments.ladder}, {arguments.recovery}: {len(ladders)} shards")


def _by_rung(shards: Sequence[Sequence[dict]]) -> list[dict]:
    """All lines, rung by rung and split by split, in the order of the shards: as one job would have written them."""
    keys = dict.fromkeys((row["rung"], row["split"]) for rows in shards for row in rows)
    return [row for key in keys for rows in shards for row in rows if (row["rung"], row["split"]) == key]


def _alike(paths: Sequence[Path], read: Callable[[Path], dict], keys: Sequence[str]) -> list[dict]:
    """The reports of one kind, which must agree on ``keys``, on the model's weights, on the data, and on what they counted."""
    reports = [read(path) for path in paths]
    for report, path in zip(reports, paths, strict=True):
        if wrong := misfit(report, {"model": {"resolved": str}, **dict.fromkeys(keys, dict)}):
            raise UserError(f"{path}: key {wrong!r} is missing or of the wrong kind; make this shard again.")

    def shared(report: dict) -> list:
        kinds = list(report.get("rungs", ())) or [row["protocol"] for row in report["protocols"]]
        return [report["model"]["resolved"], report.get("data_sha256"), kinds, *(report[key] for key in keys)]

    for report, path in zip(reports, paths, strict=True):
        if shared(report) != shared(reports[0]):
            raise UserError(
                f"{path}: was made otherwise than {paths[0]}; make the baselines of all shards again together."
            )
    return reports


def _sum_of_rungs(rungs: Sequence[dict]) -> dict:
    """One rung; left out by one shard is left out."""
    left_out = next((rung for rung in rungs if "left_out" in rung), None)
    if left_out:
        return left_out
    added = {key: sum(rung[key] for rung in rungs) for key in ("correct", "n")}
    added["levels"] = _sum([rung["levels"] for rung in rungs])
    if all("right" in rung for rung in rungs):
        added["right"] = sorted(identity for rung in rungs for identity in rung["right"])
    if all("dev" in rung for rung in rungs):
        added["dev"] = _sum_of_rungs([rung["dev"] for rung in rungs])
    return added


def _sum(counts: Sequence[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Right answers and items by level."""
    found: dict[str, dict[str, int]] = {}
    for levels in counts:
        for level, one in levels.items():
            have = found.setdefault(level, {"correct": 0, "n": 0})
            found[level] = {key: have[key] + one[key] for key in have}
    return dict(sorted(found.items()))
