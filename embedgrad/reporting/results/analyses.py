"""What the analyses of a cell left on disk, one reader a kind of file: each checks all that tables, figures and page read of it.

Whoever changed a file may have written anything there: a reader raises UserError where it cannot be read, or a key is missing, of
the wrong kind or at odds with another; it names the file and the key.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from embedgrad_core.files import ANY, ANY_LIST, COUNT, UserError, is_number, misfit, read_json

_NEAREST = {"cosine": {"nearest_id": COUNT}, "softmax": {"p": float}}
_POSITION = {
    "position": COUNT,
    "token_id": COUNT,
    "drift": float,
    "before": _NEAREST,
    "after": _NEAREST,
    "random": _NEAREST,
}
_ANCHORING = {
    "summary": {"mean_drift": float, "nearest_token_unchanged": COUNT, "positions": COUNT},
    "round_trip": ({"accuracy": dict.fromkeys(("before", "after", "snapped", "random"), float)},),
}
_PART = {"mean": (float,)}
_READING = {"delta": float, "band": list, "random": list}
_SHUFFLED = {"mean": float, "q975": float}
_SUMMARY = {ANY: {"layers_above_zero": COUNT, "layers": COUNT}}


def _reader(reading: dict, **accuracy: dict) -> dict:
    """The shape of what one reader of LAT found."""
    layer = {
        "layer": COUNT,
        "accuracy": {"held_out": float, "random": {"q975": float}, **accuracy},
        "readings": {ANY: reading},
    }
    return {"layers": [layer], "summary": _SUMMARY}


# Files made before 2026-11-27 have one reader, and not these of its controls.
_OLD_READER = _reader(_READING)
_NOT_COMPUTED: dict[str, Any] = {"items": None, "both": None, "shuffled": None, "displaced": []}
_READER = _reader(
    _READING | {"items": (list,), "both": (list,), "shuffled": list, "displaced": ANY_LIST}, shuffled=_SHUFFLED
)
_COUNTS = {"correct": COUNT, "n": COUNT}
_PROTOCOL = {"layout": str, "limit_share": float, "stop_rule": str, "strict": bool}
_GRID = {"own": _PROTOCOL, "protocols": [{"protocol": _PROTOCOL, "levels": {ANY: _COUNTS}}]}
_LIMIT = {"limit": COUNT, "correct": COUNT, "ended": COUNT, "loops": COUNT, "cut": COUNT}


def _read(shape: Any, path: str | Path, fault: Callable[[dict], str | None] = lambda analysis: None) -> dict:
    """A file of this shape; ``fault`` says what else is wrong with it."""
    return _checked(read_json(path), shape, path, fault)


def _checked(analysis: Any, shape: Any, path: str | Path, fault: Callable[[dict], str | None]) -> dict:
    wrong = misfit(analysis, shape)
    if what := f"key {wrong!r}" if wrong else fault(analysis):
        raise UserError(f"{path}: {what} is missing or of the wrong kind; delete the file and make it again.")
    return analysis


def read_lat(path: str | Path) -> dict:
    """``lat.json``: ``readers`` by name, ``responses`` among them; of each, readings layer by layer, the same ones in every layer.

    A file made before there were two readers has the responses alone; what was not computed is null or empty.
    """
    analysis = read_json(path)
    if not isinstance(analysis, dict) or "readers" in analysis:
        return _checked(analysis, {"readers": {"responses": dict}}, path, _readers_fault)
    _checked(analysis, _OLD_READER, path, _reader_fault)
    for row in analysis["layers"]:
        row["readings"] = {name: _NOT_COMPUTED | reading for name, reading in row["readings"].items()}
    return {**analysis, "readers": {"responses": {key: analysis[key] for key in ("layers", "summary")}}}


def _readers_fault(analysis: dict) -> str | None:
    for name, reader in analysis["readers"].items():
        where = f"readers.{name}"
        wrong = misfit(reader, _READER, where)
        if what := f"key {wrong!r}" if wrong else _reader_fault(reader, f"{where}."):
            return what
    return None


def _reader_fault(reader: dict, where: str = "") -> str | None:
    names = [set(row["readings"]) for row in reader["layers"]]
    if "prompt_mean" not in names[0] or any(one != names[0] for one in names):
        return f"{where}layers: the readings of each layer, prompt_mean among them,"
    moved = [
        one for row in reader["layers"] for reading in row["readings"].values() for one in reading.get("displaced", ())
    ]
    return None if all(map(is_number, moved)) else f"{where}layers: a change of a prompt moved at random"


def separates(layer: dict) -> bool:
    """Whether the layer's direction is valid: it separates held-out pairs better than 97.5 % of random directions do."""
    return layer["accuracy"]["held_out"] > layer["accuracy"]["random"]["q975"]


def interval_of(reading: dict) -> tuple[float, float]:
    """The interval of a reading's Δ: over pairs and items where there are items, else over pairs."""
    low, high = reading["both"] or reading["band"]
    return low, high


def main_reading(reader: str, layers: list[dict]) -> str:
    """Where a reader's claims are read.

    The template's direction was fitted where the model is about to answer, and is read there, over the dev items. Without items,
    and by the responses' reader, it is the mean over the prompt's positions.
    """
    return "input_last" if reader == "template" and "input_last" in layers[0]["readings"] else "prompt_mean"


def _limits_fault(analysis: dict) -> str | None:
    before, after = ([row["limit"] for row in analysis[side]] for side in ("before", "after"))
    if before != after or any(row["correct"] > analysis["n"] for row in analysis["before"] + analysis["after"]):
        return "before and after: the same limits, and no more right answers than items,"
    return None


def _likelihood_fault(analysis: dict) -> str | None:
    labels, tokens = analysis["labels"], analysis.get("tokens", [])
    if misfit(tokens, ANY_LIST) or (
        tokens and (misfit(tokens, [COUNT]) or len(tokens) != len(labels) or min(tokens) < 1)
    ):
        return "key 'tokens'"
    for place, row in enumerate(analysis["items"]):
        wrong = misfit(row, {"id": str, "answer": str, "before": [float], "after": [float]}, f"items.{place}")
        if wrong or row["answer"] not in labels or any(len(row[side]) != len(labels) for side in ("before", "after")):
            return f"key {(wrong or f'items.{place}')!r}"
    return None


def _grid_fault(analysis: dict) -> str | None:
    counts = [one for row in analysis["protocols"] for one in row["levels"].values()]
    if any(one["correct"] > one["n"] for one in counts):
        return "key 'protocols': more right answers than items"
    for place, protocol in enumerate([analysis["own"], *(row["protocol"] for row in analysis["protocols"])]):
        more = {key: value for key, value in protocol.items() if key not in _PROTOCOL}
        if wrong := misfit(more, {ANY: str}, f"protocols.{place - 1}.protocol" if place else "own"):
            return f"key {wrong!r}"
    wrong = misfit(analysis.get("left_out", {}), {ANY: str}, "left_out")
    return f"key {wrong!r}" if wrong else None


def _ladder_fault(analysis: dict, least: int) -> str | None:
    for name, rung in analysis["rungs"].items():
        if "left_out" in rung:
            continue
        dev = rung.get("dev")
        if wrong := _rung_fault(rung, f"rungs.{name}", least) or (dev and _rung_fault(dev, f"rungs.{name}.dev", 0)):
            return f"key {wrong!r}"
    return None


def _rung_fault(rung: Any, where: str, least: int) -> str | None:
    """The key at which a rung's counts are missing, of the wrong kind, or impossible; ``right`` may be missing, in old ladders."""
    if wrong := misfit(rung, {**_COUNTS, "levels": {ANY: _COUNTS}}, where):
        return wrong
    if any(one["n"] < least or one["correct"] > one["n"] for one in (rung, *rung["levels"].values())):
        return where
    right = rung.get("right")
    known = right is None or (isinstance(right, list) and all(isinstance(one, str) for one in right))
    return None if known and (right is None or len(set(right)) == rung["correct"]) else f"{where}.right"


# ``anchoring.json``: summary and round trip; and with each position, as the figure draws them.
read_anchoring = partial(_read, _ANCHORING)
read_positions = partial(_read, _ANCHORING | {"positions": [_POSITION]})
# ``entropy.json``: what the prompt and what the text changed.
read_entropy = partial(_read, {"summary": {"prompt": _PART, "text": _PART}})
# ``limits.json``: right and cut answers under each token limit, before and after, under the same limits.
read_limits = partial(_read, {"n": COUNT, "before": [_LIMIT], "after": [_LIMIT]}, fault=_limits_fault)
# ``likelihood.json``: for each item the answer, and per label a log-likelihood before and after; there may be no labels.
read_likelihood = partial(_read, {"labels": ANY_LIST, "items": ANY_LIST}, fault=_likelihood_fault)
# ``ladder.json``: counts on each rung, by level too, or why a rung was left out; a shard may be of no item at all.
read_ladder = partial(_read, {"rungs": {ANY: dict}}, fault=partial(_ladder_fault, least=1))
read_shard_of_ladder = partial(_read, {"rungs": {ANY: dict}}, fault=partial(_ladder_fault, least=0))
# ``recovery.json``: right answers under each protocol.
read_grid = partial(_read, _GRID, fault=_grid_fault)


def read_sidecar(path: str | Path) -> dict:
    """A ``*.run.json`` or ``split.json``: an object.

    Raises:
        UserError: it cannot be read, or is not one.
    """
    run = read_json(path)
    if not isinstance(run, dict):
        raise UserError(f"{path}: expected a JSON object; delete the file and run the step that makes it again.")
    return run
