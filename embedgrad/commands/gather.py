"""Put the answers of all shards of a decoding together, in the order that one job would have written.

embedgrad gather --data test.jsonl --outputs s1.jsonl s2.jsonl --runs s1.run.json s2.run.json \
    --out after.outputs.jsonl --run-info after.run.json
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from embedgrad.commands.checked import output_file
from embedgrad.files import answers_sha256, read_decoded, read_items
from embedgrad_core.files import UserError, in_order, read_json, write_json, write_jsonl

HELP = "put the answers of shards together"

# What every shard must share …
SAME = ("model", "versions", "engine", "decoding", "layout", "prompt_sha256", "protocol", "data_sha256")
# … what is added up (seconds of computing, wherever and whenever they ran) …
SUMS = ("seconds", "cpu_seconds", "items", "new_tokens")
# … and of what the largest counts.
LARGEST = ("peak_memory_bytes", "finished")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Shards in, one file out."""
    parser.add_argument("--data", required=True, type=Path, help="the items that all shards answered")
    parser.add_argument("--level", help="only the items of this level")
    parser.add_argument("--outputs", required=True, nargs="+", type=Path, help="the shards' answers")
    parser.add_argument("--runs", required=True, nargs="+", type=Path, help="the shards' run files, in the same order")
    parser.add_argument("--out", required=True, type=output_file)
    parser.add_argument("--run-info", required=True, type=output_file)


def run(arguments: argparse.Namespace) -> None:
    """Check that the shards belong together and cover all items once; write.

    Raises:
        UserError: an item without an answer or with two, or shards that were answered differently; names the files.
    """
    if len(arguments.outputs) != len(arguments.runs):
        raise UserError(
            f"--outputs names {len(arguments.outputs)} files, --runs {len(arguments.runs)}; one for each shard."
        )
    wanted = [item.id for level in in_order(read_items(arguments.data, arguments.level)) for item in level]
    rows: dict[str, dict] = {}
    places: dict[str, Path] = {}
    for path in arguments.outputs:
        for row in read_decoded(path):
            if row["id"] in rows:
                raise UserError(
                    f"{path}: answers {row['id']}, which {places[row['id']]} answers as well; decode again."
                )
            rows[row["id"]], places[row["id"]] = row, path
    for identity in rows.keys() - set(wanted):
        raise UserError(f"{places[identity]}: answers {identity}, which is not in {arguments.data}; decode again.")
    lacking = [identity for identity in wanted if identity not in rows]
    if lacking:
        raise UserError(
            f"{lacking[0]} of {arguments.data} is answered by no shard ({len(lacking)} in all); decode again."
        )
    together = merged([read_json(path) for path in arguments.runs], arguments.runs)
    answers = [rows[identity] for identity in wanted]
    write_jsonl(arguments.out, answers)
    write_json(arguments.run_info, together | {"answers_sha256": answers_sha256(answers)})
    print(f"{arguments.out}: {len(answers)} answers of {len(arguments.outputs)} shards")


def merged(runs: Sequence[dict], paths: Sequence[Path]) -> dict:
    """One run's sidecar from those of its shards.

    Raises:
        UserError: two shards differ in what they must share; names both files and the key.
    """
    first = _shared(runs[0])
    for run_, path in zip(runs, paths, strict=True):
        for key, value in _shared(run_).items():
            if value != first[key]:
                raise UserError(f"{path}: {key} is not that of {paths[0]}; decode the shards again together.")
    devices = sorted({run_["model"]["device"] for run_ in runs})
    return (
        runs[0]
        | {"model": runs[0]["model"] | {"device": ", ".join(devices)}}
        # Null where a shard of an earlier version does not tell its part.
        | {
            key: round(sum(run_[key] for run_ in runs), 3) if all(key in run_ for run_ in runs) else None
            for key in SUMS
        }
        | {key: max(run_[key] for run_ in runs) for key in LARGEST}
        | {"shards": len(runs), "batch_invariance": None}
    )


def _shared(run_: dict) -> dict:
    """What must be equal; the devices of shards may differ, as those of cells may."""
    found = {key: run_.get(key) for key in SAME}
    return found | {"model": {key: value for key, value in run_["model"].items() if key != "device"}}
