"""What results must share to stand in one table: data, model revision and protocol. What disagrees is refused, cell by cell."""

from collections.abc import Callable, Sequence
from pathlib import Path

from contracts import UserError, answers_sha256, sha256_of_file

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
    models = {step: _revision(run) for step, run in runs.items() if _revision(run)}
    if len(set(models.values())) > 1:
        told = ", ".join(f"{step} {revision[:19]}" for step, revision in models.items())
        raise UserError(f"the steps of this cell ran on different revisions of the model ({told}); run them again.")


def check_agreement(found: Sequence[tuple[dict, Path]], folder: Path) -> None:
    """All metrics of a table must agree.

    Args:
        found: metrics and the file that each came from.
        folder: ``results/<run>``.

    Raises:
        UserError: cells that rest on different splits, model revisions or protocols; lists them.
    """
    _check_splits(found, folder)
    _check_same(found, lambda metrics: metrics["cell"]["model"], _revision, "revisions of {}")
    _check_same(found, lambda metrics: "", lambda run: (run or {}).get("protocol"), "protocols")


def _check_splits(found: Sequence[tuple[dict, Path]], folder: Path) -> None:
    """All metrics of one task must rest on one split, the one that lies in the run if it is there."""
    hashes, sizes = {}, {}
    for metrics, path in found:
        task = metrics["cell"]["task"]
        split = folder / "data" / task / "split.json"
        if task not in hashes:
            hashes[task] = (sha256_of_file(split), split) if split.exists() else (metrics["split"].get("sha256"), path)
        expected, source = hashes[task]
        if metrics["split"].get("sha256") != expected:
            raise UserError(f"{path}: rests on another split of {task} than {source}; delete it and make it again.")
        n, first = sizes.setdefault(metrics["cell"]["dataset"], (metrics["n"], path))
        if metrics["n"] != n:
            raise UserError(f"{path}: has {metrics['n']} items where {first} has {n}; they are of different runs.")


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
    same = 0
    while len({value[: same + 1] for value in values}) == 1:
        same += 1
    start = max(0, same - 24)
    told = []
    for value, names in values.items():
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        told.append(f"{value[start : start + 60]}: {', '.join(names[:6])}{more}")
    return "; ".join(told)


def _revision(run: dict | None) -> str | None:
    model = (run or {}).get("model") or {}
    return model.get("resolved") if model.get("resolved") != "unknown" else None
