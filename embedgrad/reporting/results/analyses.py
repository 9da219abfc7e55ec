"""What the analyses of a cell left on disk, one reader a kind of file: each checks all that tables, figures and page read of it.

Whoever changed a file may have written anything there; the readers' errors name the file and the key.
"""

from pathlib import Path
from typing import Any

from embedgrad_core.files import ANY, ANY_LIST, COUNT, UserError, misfit, read_json

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
_LAT = {
    "layers": [
        {"layer": COUNT, "accuracy": {"held_out": float, "random": {"q975": float}}, "readings": {ANY: _READING}}
    ],
    "summary": {ANY: {"layers_above_zero": COUNT, "layers": COUNT}},
}
_COUNTS = {"correct": COUNT, "n": COUNT}
_PROTOCOL = {"layout": str, "limit_share": float, "stop_rule": str, "strict": bool}
_GRID = {"own": _PROTOCOL, "protocols": [{"protocol": _PROTOCOL, "levels": {ANY: _COUNTS}}]}
_LIMIT = {"limit": COUNT, "correct": COUNT, "ended": COUNT, "loops": COUNT, "cut": COUNT}


def read_anchoring(path: str | Path, positions: bool = False) -> dict:
    """``anchoring.json``: summary and round trip; with ``positions`` each position too, as the figure draws them.

    Raises:
        UserError: it cannot be read, or a key is missing or of the wrong kind.
    """
    return _read(path, _ANCHORING | ({"positions": [_POSITION]} if positions else {}))


def read_entropy(path: str | Path) -> dict:
    """``entropy.json``: what the prompt and what the text changed.

    Raises:
        UserError: it cannot be read, or a key is missing or of the wrong kind.
    """
    return _read(path, {"summary": {"prompt": _PART, "text": _PART}})


def read_lat(path: str | Path) -> dict:
    """``lat.json``: readings layer by layer; every layer has the same ones.

    Raises:
        UserError: it cannot be read, a key is missing or of the wrong kind, or the layers differ in their readings.
    """
    analysis = _read(path, _LAT)
    names = [set(row["readings"]) for row in analysis["layers"]]
    if "prompt_mean" not in names[0] or any(one != names[0] for one in names):
        raise _unlike(path, "layers: the readings of each layer, prompt_mean among them,")
    return analysis


def read_limits(path: str | Path) -> dict:
    """``limits.json``: right and cut answers under each token limit, before and after, under the same limits.

    Raises:
        UserError: it cannot be read, a key is missing or of the wrong kind, or the two sides differ in their limits.
    """
    analysis = _read(path, {"n": COUNT, "before": [_LIMIT], "after": [_LIMIT]})
    before, after = ([row["limit"] for row in analysis[side]] for side in ("before", "after"))
    if before != after or any(row["correct"] > analysis["n"] for row in analysis["before"] + analysis["after"]):
        raise _unlike(path, "before and after: the same limits, and no more right answers than items,")
    return analysis


def read_likelihood(path: str | Path) -> dict:
    """``likelihood.json``: for each item the answer, and per label a log-likelihood before and after; there may be no labels.

    Raises:
        UserError: it cannot be read, a key is missing or of the wrong kind, or an item has not one number per label.
    """
    analysis = read_json(path)
    wrong = misfit(analysis, {"labels": ANY_LIST, "items": ANY_LIST})
    if wrong:
        raise _unlike(path, f"key {wrong!r}")
    labels = analysis["labels"]
    for place, row in enumerate(analysis["items"]):
        wrong = misfit(row, {"id": str, "answer": str, "before": [float], "after": [float]}, f"items.{place}")
        if wrong or row["answer"] not in labels or any(len(row[side]) != len(labels) for side in ("before", "after")):
            raise _unlike(path, f"key {(wrong or f'items.{place}')!r}")
    return analysis


def read_ladder(path: str | Path, least: int = 1) -> dict:
    """``ladder.json``: counts on each rung, by level too, or why a rung was left out; a shard may be of no item at all.

    Raises:
        UserError: it cannot be read, or a key is missing or of the wrong kind.
    """
    analysis = _read(path, {"rungs": {ANY: dict}})
    for name, rung in analysis["rungs"].items():
        if "left_out" in rung:
            continue
        dev = rung.get("dev")
        wrong = _rung_fault(rung, f"rungs.{name}", least) or (dev and _rung_fault(dev, f"rungs.{name}.dev", 0))
        if wrong:
            raise _unlike(path, f"key {wrong!r}")
    return analysis


def read_grid(path: str | Path) -> dict:
    """``recovery.json``: right answers under each protocol.

    Raises:
        UserError: it cannot be read, a key is missing or of the wrong kind, or counts that cannot be.
    """
    analysis = _read(path, _GRID)
    for row in analysis["protocols"]:
        if any(one["correct"] > one["n"] for one in row["levels"].values()):
            raise _unlike(path, "key 'protocols': more right answers than items")
    return analysis


def read_sidecar(path: str | Path) -> dict:
    """A ``*.run.json`` or ``split.json``: an object.

    Raises:
        UserError: it cannot be read, or is not one.
    """
    run = read_json(path)
    if not isinstance(run, dict):
        raise UserError(f"{path}: expected a JSON object; delete the file and run the step that makes it again.")
    return run


def _rung_fault(rung: Any, where: str, least: int) -> str | None:
    """The key at which a rung's counts are missing, of the wrong kind, or impossible; ``right`` may be missing, in old ladders."""
    if wrong := misfit(rung, {**_COUNTS, "levels": {ANY: _COUNTS}}, where):
        return wrong
    if any(one["n"] < least or one["correct"] > one["n"] for one in (rung, *rung["levels"].values())):
        return where
    right = rung.get("right")
    known = right is None or (isinstance(right, list) and all(isinstance(one, str) for one in right))
    return None if known and (right is None or len(set(right)) == rung["correct"]) else f"{where}.right"


def _read(path: str | Path, shape: Any) -> dict:
    analysis = read_json(path)
    if wrong := misfit(analysis, shape):
        raise _unlike(path, f"key {wrong!r}")
    return analysis


def _unlike(path: str | Path, what: str) -> UserError:
    return UserError(f"{path}: {what} is missing or of the wrong kind; delete the file and make it again.")
