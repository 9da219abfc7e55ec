"""What results must share to stand in one table: data, model revision and protocol. What disagrees is refused, cell by cell."""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

from embedgrad.files import answers_sha256
from embedgrad_core.files import UserError, sha256_of_file

AGAIN = "make the cells of one side again (snakemake --forcerun)"


def check_answers(rows: Sequence[dict], run: dict | None, name: str) -> None:
    """Graded lines must hold the very answers that the decoding wrote.

    Raises:
        UserError: they do not; names the file.
    """
    wanted = (run or {}).get("answers_sha256")
    if wanted and wanted != answers_sha256(rows):
        raise UserError(f"{name}: the answers are not those that the decoding wrote; delete it and grade again.")


def check_runs(runs: dict[str, dict | None], files: dict[str, str], test_sha256: str | None) -> None:
    """The three steps of a cell must have read the same model and the data that the split certifies.

    Args:
        runs: the sidecars ``optimize``, ``before`` and ``after``; None where there is none.
        files: ``files`` of ``split.json``: sha256 by file name.
        test_sha256: of ``test.jsonl`` as it lies there.

    Raises:
        UserError: names the steps and what they do not share.
    """
    sealed = files.get("test.jsonl")
    if sealed and test_sha256 and sealed != test_sha256:
        raise UserError(
            f"test.jsonl: sha256 is {test_sha256[:12]}… but split.json says {sealed[:12]}…; prepare the data again."
        )
    for step, run in runs.items():
        for file, found in ((run or {}).get("data_sha256") or {}).items():
            if file in files and files[file] != found:
                raise UserError(
                    f"{step}: read a {file} of sha256 {found[:12]}…, but split.json says {files[file][:12]}…; "
                    "run that step again."
                )
    models = {step: revision for step, run in runs.items() if (revision := _revision(run))}
    if len(set(models.values())) > 1:
        revisions = ", ".join(f"{step} {revision[:19]}" for step, revision in models.items())
        raise UserError(
            f"the steps of this cell ran on different revisions of the model ({revisions}); run them again."
        )


def check_agreement(found: Sequence[tuple[dict, Path]], folder: Path) -> None:
    """All metrics of a table must agree.

    Args:
        found: metrics and the file that each came from.
        folder: ``results/<run>``.

    Raises:
        UserError: cells that rest on different splits, model revisions, protocols, engines or token limits; lists them.
    """
    _check_splits(found, folder)
    check_protocols(found)


def check_protocols(found: Sequence[tuple[dict, Path]]) -> None:
    """Metrics must agree in all but the split.

    Raises:
        UserError: cells that rest on different model revisions, protocols, engines or token limits; lists them.
    """
    _check_same(found, lambda metrics: metrics["cell"]["model"], _revision, "revisions of {}")
    _check_same(found, lambda metrics: "", lambda run: (run or {}).get("protocol"), "protocols")
    _check_same(found, lambda metrics: "", lambda run: run.get("engine") if run and _decoding(run) else None, "engines")
    limit = "token limits of {}"
    _check_same(found, lambda metrics: metrics["cell"]["task"], lambda run: _decoding(run).get("max_new_tokens"), limit)


def check_analyses(found: Sequence[tuple[object, dict, Path]]) -> None:
    """Analyses must be of the model, the data and the prompt that their cells' runs used, as far as they say so.

    Args:
        found: an analysis as it was read, the metrics of its cell, and the file that it came from.

    Raises:
        UserError: analyses of other ones; lists them.
    """
    wrong = [f"{path} ({reason})" for analysis, metrics, path in found if (reason := _stranger(analysis, metrics))]
    if wrong:
        raise UserError(
            f"analyses that do not belong to their cells' runs: {_first(wrong)}; delete them and make them again."
        )


def _stranger(analysis: object, metrics: dict) -> str | None:
    """What an analysis does not share with its cell's runs."""
    if not isinstance(analysis, dict):
        return None  # its reader says so
    runs = [run for run in metrics["run"].values() if run]
    revisions = [revision for run in runs if (revision := _revision(run))]
    mine = _revision(analysis)
    if mine and revisions and mine not in revisions:
        return f"revision {mine[:19]} of the model, not {revisions[0][:19]}"
    used, wanted = analysis.get("prompt_sha256"), metrics["prompt"].get("sha256")
    if used and wanted and used != wanted:
        return f"prompt {str(used)[:12]}…, not {str(wanted)[:12]}…"
    read = {name: sha256 for run in runs for name, sha256 in (run.get("data_sha256") or {}).items()}
    for name, sha256 in _data(analysis).items():
        if read.get(name, sha256) != sha256:
            return f"a {name} of sha256 {str(sha256)[:12]}…, not {read[name][:12]}…"
    return None


def _data(analysis: dict) -> dict:
    data, trip = analysis.get("data_sha256"), analysis.get("round_trip")
    found = data if isinstance(data, dict) else {}
    if isinstance(trip, dict) and trip.get("data_sha256"):
        found = found | {"dev.jsonl": trip["data_sha256"]}
    return found


def _first(names: Sequence[object]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(map(str, names[:6])) + more


def _check_splits(found: Sequence[tuple[dict, Path]], folder: Path) -> None:
    """All metrics of one task must rest on one split, the one that lies in the run if it is there."""
    hashes: dict[str, tuple[str | None, Path]] = {}
    sizes: dict[str, tuple[int, Path]] = {}
    strangers: dict[str, list[Path]] = {}
    for metrics, path in found:
        task = metrics["cell"]["task"]
        split = folder / "data" / task / "split.json"
        if task not in hashes:
            hashes[task] = (sha256_of_file(split), split) if split.exists() else (metrics["split"].get("sha256"), path)
        expected = hashes[task][0]
        if metrics["split"].get("sha256") != expected:
            strangers.setdefault(task, []).append(path)
        n, first = sizes.setdefault(metrics["cell"]["dataset"], (metrics["n"], path))
        if metrics["n"] != n:
            raise UserError(f"{path}: has {metrics['n']} items where {first} has {n}; they are of different runs.")
    for task, paths in strangers.items():
        raise UserError(
            f"{_first(paths)}: rests on another split of {task} than {hashes[task][1]}; delete it and make it again."
        )


def _check_same(
    found: Sequence[tuple[dict, Path]],
    group: Callable[[dict], str],
    pick: Callable[[dict | None], object],
    what: str,
) -> None:
    """Within a group, every sidecar that names a value must name the same."""
    users: dict[str, dict[str, list[str]]] = {}
    for metrics, _ in found:
        cell = metrics["cell"]
        name = f"{cell['dataset']}/{cell['model']}/seed{cell['seed']}"
        for run in metrics["run"].values():
            value = pick(run)
            if value is not None:
                names = users.setdefault(group(metrics), {}).setdefault(str(value), [])
                names += [name] * (name not in names)
    for key, values in users.items():
        if len(values) > 1:
            raise UserError(
                f"the table would mix results of different {what.format(key)} ({_differing(values)}); {AGAIN}."
            )


def _differing(values: dict[str, list[str]]) -> str:
    """The values, from where they begin to differ, and the cells of each."""
    same = next(place for place, letters in enumerate(zip_longest(*values)) if len(set(letters)) > 1)
    start = max(0, same - 24)
    return "; ".join(f"{value[start : start + 60]}: {_first(names)}" for value, names in values.items())


def _revision(run: dict | None) -> str | None:
    model = (run or {}).get("model")
    revision = model.get("resolved") if isinstance(model, dict) else None
    return revision if isinstance(revision, str) and revision != "unknown" else None


def _decoding(run: dict | None) -> dict:
    """How answers were decoded; nothing for an optimisation, which has an engine too and decodes no answers."""
    decoding = (run or {}).get("decoding")
    return decoding if isinstance(decoding, dict) else {}
