"""Right answers and items by level: what ladder and protocol search are counted in, over items and over shards of a test half."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from embedgrad_core.files import Item, UserError, misfit

# Level → ``correct`` and ``n``; level "" is all items.
Counts = dict[str, dict[str, int]]


def by_level(items: Sequence[Item], lines: Sequence[dict]) -> Counts:
    """Counts of graded ``lines``, one for each of ``items`` in their order; an item without a level counts in "" alone."""
    each = (
        {level: {"correct": line["correct"], "n": 1} for level in {"", item.level or ""}}
        for item, line in zip(items, lines, strict=True)
    )
    return added([{"": {"correct": 0, "n": 0}}, *each])


def added(parts: Iterable[Counts]) -> Counts:
    """The sum of counts of different items, its levels in order."""
    found: Counts = {}
    for levels in parts:
        for level, one in levels.items():
            have = found.setdefault(level, {"correct": 0, "n": 0})
            found[level] = {key: have[key] + one[key] for key in have}
    return dict(sorted(found.items()))


def added_ladders(ladders: Sequence[dict], paths: Sequence[Path]) -> dict:
    """One ladder from those of its shards, which were read at ``paths``.

    Raises:
        UserError: shards that were answered differently; names the file.
    """
    _check_alike(ladders, paths, ("decoding", "versions"))
    rungs = {name: _added_rungs([ladder["rungs"][name] for ladder in ladders]) for name in ladders[0]["rungs"]}
    return ladders[0] | {"rungs": rungs}


def added_grids(grids: Sequence[dict], paths: Sequence[Path]) -> dict:
    """The same of the protocol search."""
    _check_alike(grids, paths, ("own", "versions"))
    rows = [
        {"protocol": same[0]["protocol"], "levels": added(one["levels"] for one in same)}
        for same in zip(*(grid["protocols"] for grid in grids), strict=True)
    ]
    return grids[0] | {"protocols": rows}


def lines_by_rung(shards: Sequence[Sequence[dict]]) -> list[dict]:
    """All lines, rung by rung and split by split, in the order of the shards: as one job would have written them."""
    keys = dict.fromkeys((row["rung"], row["split"]) for rows in shards for row in rows)
    return [row for key in keys for rows in shards for row in rows if (row["rung"], row["split"]) == key]


def _check_alike(analyses: Sequence[dict], paths: Sequence[Path], keys: Sequence[str]) -> None:
    """The analyses must agree on ``keys``, on the model's weights, on the data, and on what they counted."""
    for analysis, path in zip(analyses, paths, strict=True):
        if wrong := misfit(analysis, {"model": {"resolved": str}, **dict.fromkeys(keys, dict)}):
            raise UserError(f"{path}: key {wrong!r} is missing or of the wrong kind; make this shard again.")

    def shared(analysis: dict) -> list:
        kinds = list(analysis.get("rungs", ())) or [row["protocol"] for row in analysis["protocols"]]
        return [analysis["model"]["resolved"], analysis.get("data_sha256"), kinds, *(analysis[key] for key in keys)]

    for analysis, path in zip(analyses, paths, strict=True):
        if shared(analysis) != shared(analyses[0]):
            raise UserError(
                f"{path}: was made differently from {paths[0]}; make the baselines of all shards again together."
            )


def _added_rungs(rungs: Sequence[dict]) -> dict:
    """One rung; left out by one shard is left out."""
    left_out = next((rung for rung in rungs if "left_out" in rung), None)
    if left_out:
        return left_out
    total: dict[str, Any] = {**added({"": {key: rung[key] for key in ("correct", "n")}} for rung in rungs)[""]}
    total["levels"] = added(rung["levels"] for rung in rungs)
    if all("right" in rung for rung in rungs):
        total["right"] = sorted(identity for rung in rungs for identity in rung["right"])
    if all("dev" in rung for rung in rungs):
        total["dev"] = _added_rungs([rung["dev"] for rung in rungs])
    return total
