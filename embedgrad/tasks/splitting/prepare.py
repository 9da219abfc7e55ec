"""From a task's name to ``{train,dev,test}.jsonl`` and ``split.json``, the certificate of the split.

``split.json`` is written last: a folder without it is not prepared. Its keys:

    task, options, pool            what was asked
    target                         what is trained on, where the task has a choice
    source                         kind, id, revision, resolved_sha, raw_sha256, licence, normalised_sha256 ...
    split                          seed, rule, dev_fraction, near_duplicates (threshold), shingle
    counts                         per split: n, by_level, by_class, by_level_and_class
    deviation                      per split and level: items more (+) or fewer (-) than wanted; empty when exact
    ids                            per split, sorted by level and id
    exact_duplicates               groups of twins: ids, split of each, contradictory (their answers differ)
    near_duplicates                threshold, shingle, counts, and the pairs, those that cross to test first
    input_last_words               words kept (null: all), inputs cut, and groups of inputs that only the cut made equal
    files                          sha256 of the three files

``normalised_sha256`` is over all normalised rows of the source (before ``pool`` is drawn), in any order: equal for hub
and mirror when both gave the same rows with the same ids.
"""

import inspect
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from embedgrad import tasks
from embedgrad.files import read_items
from embedgrad.tasks.loaded import Loaded
from embedgrad.tasks.splitting import duplicates
from embedgrad.tasks.splitting.split import SPLITS, draw, halve
from embedgrad_core.files import Item, UserError, read_json, sha256_of_bytes, sha256_of_file, write_json, write_jsonl

RULES = ("half", "grouped")
SPLIT_DEFAULTS = {"seed": 0, "rule": "half", "dev_fraction": 0.2, "near_duplicates": duplicates.THRESHOLD}
LISTED_PAIRS = 2000  # near-duplicate pairs listed; all are counted


def prepare(
    task: str,
    out: str | Path,
    *,
    mirror: str | Path | None = None,
    revision: str | None = None,
    options: Mapping[str, Any] | None = None,
    split: Mapping[str, Any] | None = None,
    pool: int | None = None,
    input_last_words: int | None = None,
) -> None:
    """Load a task, find duplicates, split it by seed and write the three files and their certificate into ``out``.

    Args:
        task: a name in ``tasks.TASKS``.
        out: folder; made if missing. Nothing in it is touched unless the whole split is ready.
        mirror: folder with ``data/``, or None for the hub (generated tasks need neither).
        revision: on the hub; None takes the task's own ``REVISION``.
        options: keyword options of the task's ``load``.
        split: ``seed``, ``rule`` ("half": only twins stay together; "grouped": near-duplicate clusters too),
            ``dev_fraction`` (share of the train half), ``near_duplicates`` (Jaccard threshold, None: no search).
        pool: draw this many items in proportion to level and class before splitting.
        input_last_words: keep only the last N words of each input (a word is a run without white space), after
            duplicates were found.

    Raises:
        UserError: an unknown task, option, split key or rule, a number out of range, or a source that cannot be read.
    """
    module = tasks.find(task)
    asked = _split_settings(split or {})
    _check_number("input_last_words", input_last_words)
    _check_number("pool", pool)
    loaded = _load(task, module, mirror, revision, dict(options or {}))
    whole = _fingerprint(loaded)
    if pool is not None:
        places = draw(loaded.items, loaded.classes, pool, seed=asked["seed"])
        loaded = Loaded([loaded.items[i] for i in places], [loaded.classes[i] for i in places], loaded.provenance)
    items, classes = loaded.items, loaded.classes

    texts = [item.input for item in items]
    twins = duplicates.twin_groups(texts)
    shingle, threshold = getattr(module, "SHINGLE", duplicates.SHINGLE), asked["near_duplicates"]
    pairs = [] if threshold is None else duplicates.near_pairs(texts, shingle, threshold)
    groups = duplicates.clusters(pairs, len(items)) if asked["rule"] == "grouped" else twins
    sides, wanted = halve(items, classes, groups, seed=asked["seed"], dev_fraction=asked["dev_fraction"])
    sides = {name: sorted(places, key=lambda i: (items[i].level or "", items[i].id)) for name, places in sides.items()}

    shown = items if input_last_words is None else [cut(item, input_last_words) for item in items]
    side = {i: name for name, places in sides.items() for i in places}
    targets = inspect.signature(module.load).parameters.get("target")
    certificate = {
        "task": task,
        "options": dict(options or {}),
        **({"target": (options or {}).get("target", targets.default)} if targets else {}),
        "pool": pool,
        "source": loaded.provenance | {"normalised_sha256": whole},
        "split": asked | {"shingle": shingle},
        "counts": {name: _counts(items, classes, places) for name, places in sides.items()},
        "deviation": {name: _deviation(items, sides[name], wanted[name]) for name in wanted},
        "ids": {name: [items[i].id for i in places] for name, places in sides.items()},
        "exact_duplicates": [_group(items, side, group) for group in twins],
        "near_duplicates": _near(items, side, pairs, twins, threshold, shingle),
        "input_last_words": {
            "words": input_last_words,
            "cut": sum(before.input != after.input for before, after in zip(items, shown, strict=True)),
            "equal_after_cut": _equal_after_cut(items, shown, side, twins),
        },
    }
    out = Path(out)
    (out / "split.json").unlink(missing_ok=True)  # an older certificate must not vouch for new files
    for name, places in sides.items():
        write_jsonl(out / f"{name}.jsonl", [shown[i].row() for i in places])
    certificate["files"] = {f"{name}.jsonl": sha256_of_file(out / f"{name}.jsonl") for name in SPLITS}
    write_json(out / "split.json", certificate)


def verify(folder: str | Path) -> dict:
    """Read ``split.json`` and check the three files against its hashes and ids; return it.

    Raises:
        UserError: a file is missing, was changed, or holds other ids than the certificate; the message names it.
    """
    folder = Path(folder)
    certificate = read_json(folder / "split.json")
    for key in ("files", "ids"):
        if not isinstance(certificate, dict) or not isinstance(certificate.get(key), dict):
            raise UserError(
                f"{folder / 'split.json'}: key {key!r} is missing; delete the folder and prepare the task again."
            )
    for name in SPLITS:
        path = folder / f"{name}.jsonl"
        if not path.is_file():
            raise UserError(f"{path}: no such file although split.json lists it; prepare the task again.")
        found, sealed = sha256_of_file(path), certificate["files"].get(path.name)
        if found != sealed:
            raise UserError(f"{path}: sha256 is {found} but split.json says {sealed}; prepare the task again.")
        if [item.id for item in read_items(path)] != certificate["ids"].get(name):
            raise UserError(f"{path}: its ids differ from those that split.json lists; prepare the task again.")
    return certificate


def _split_settings(given: Mapping[str, Any]) -> dict:
    unknown = sorted(set(given) - set(SPLIT_DEFAULTS))
    if unknown:
        raise UserError(f"split has the unknown key {unknown[0]!r}; it takes {', '.join(SPLIT_DEFAULTS)}.")
    asked = SPLIT_DEFAULTS | dict(given)
    if not isinstance(asked["seed"], int) or isinstance(asked["seed"], bool):
        raise UserError(f"split key seed is {asked['seed']!r}; give a whole number.")
    if asked["rule"] not in RULES:
        raise UserError(f"split key rule is {asked['rule']!r}; choose one of {', '.join(RULES)}.")
    for key in ("dev_fraction", "near_duplicates"):
        value = asked[key]
        if key == "near_duplicates" and value is None:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
            raise UserError(f"split key {key} is {value!r}; give a number between 0 and 1.")
    if asked["rule"] == "grouped" and asked["near_duplicates"] is None:
        raise UserError("split key near_duplicates is null but rule 'grouped' needs it; give a threshold such as 0.5.")
    return asked


def _check_number(key: str, value: Any) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise UserError(f"{key} is {value!r}; give a whole number from 1, or null to leave it out.")


def _load(task: str, module: Any, mirror: str | Path | None, revision: str | None, options: dict) -> Loaded:
    known = [name for name in inspect.signature(module.load).parameters if name not in ("mirror", "revision")]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UserError(f"task {task} has no option {unknown[0]!r}; its options are: {', '.join(known) or 'none'}.")
    if revision is not None:
        options["revision"] = revision
    return module.load(None if mirror is None else Path(mirror), **options)


def _fingerprint(loaded: Loaded) -> str:
    rows = [item.row() | {"class": name} for item, name in zip(loaded.items, loaded.classes, strict=True)]
    lines = sorted(json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows)
    return sha256_of_bytes("\n".join(lines).encode())


def cut(item: Item, words: int) -> Item:
    """An item whose input is cut to its last words."""
    found = list(re.finditer(r"\S+", item.input))
    return item if len(found) <= words else replace(item, input=item.input[found[-words].start() :])


def _counts(items: Sequence[Item], classes: Sequence[str], places: Sequence[int]) -> dict:
    levels = sorted({level for i in places if (level := items[i].level) is not None})
    return {
        "n": len(places),
        "by_level": {level: sum(items[i].level == level for i in places) for level in levels},
        "by_class": dict(Counter(classes[i] for i in places)),
        "by_level_and_class": {
            level: dict(Counter(classes[i] for i in places if items[i].level == level)) for level in levels
        },
    }


def _deviation(items: Sequence[Item], places: Sequence[int], wanted: Mapping) -> dict:
    found = Counter(items[i].level for i in places)
    return {level or "all": found[level] - n for level, n in wanted.items() if found[level] != n}


def _group(items: Sequence[Item], side: Mapping[int, str], group: Sequence[int]) -> dict:
    return {
        "ids": [items[i].id for i in group],
        "splits": [side[i] for i in group],
        "contradictory": len({items[i].answer for i in group}) > 1,
    }


def _near(
    items: Sequence[Item],
    side: Mapping[int, str],
    pairs: Sequence[tuple[int, int, float]],
    twins: Sequence[Sequence[int]],
    threshold: float,
    shingle: int,
) -> dict:
    """Near-duplicate pairs that are not twins; ``contradictory`` marks different answers, common among minimal pairs."""
    twin_of = {i: number for number, group in enumerate(twins) for i in group}
    rows = [
        _group(items, side, (i, j)) | {"similarity": round(similarity, 4)}
        for i, j, similarity in pairs
        if i not in twin_of or twin_of[i] != twin_of.get(j)
    ]

    def kind(row: dict) -> str:
        first, second = sorted(row["splits"])
        return "within" if first == second else "test_and_rest" if "test" in row["splits"] else "dev_and_train"

    order = {"test_and_rest": 0, "dev_and_train": 1, "within": 2}
    rows.sort(key=lambda row: (order[kind(row)], -row["similarity"], row["ids"]))
    counts = Counter(kind(row) for row in rows)
    crossing = [row for row in rows if kind(row) == "test_and_rest"]
    return {
        "threshold": threshold,
        "shingle": shingle,
        "counts": {name: counts[name] for name in order}
        | {"test_and_rest_contradictory": sum(row["contradictory"] for row in crossing)},
        "test_items_touched": len(
            {name for row in crossing for name, where in zip(row["ids"], row["splits"], strict=True) if where == "test"}
        ),
        "pairs": rows[:LISTED_PAIRS],
    }


def _equal_after_cut(
    items: Sequence[Item], shown: Sequence[Item], side: Mapping[int, str], twins: Sequence[Sequence[int]]
) -> list[dict]:
    known = {tuple(group) for group in twins}
    groups = duplicates.twin_groups([item.input for item in shown])
    return [_group(items, side, group) for group in groups if tuple(group) not in known]
