"""Where raw rows come from: a file of a local mirror with a pinned sha256, or the hub at a recorded commit.

This is the only place of the package that touches the disk or the network. A mirror is a folder with ``data/<file>``.
"""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedgrad_core.files import UserError, check_snapshot, read_json, read_jsonl, sha256_of_file

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_SECONDS = 20.0


@dataclass(frozen=True)
class Source:
    """One data set's two homes.

    ``file`` lies in ``<mirror>/data/`` and has exactly ``sha256``; in a ``.json`` file the rows stand under ``within``.
    ``hub_rows`` is the number of rows that the split had when this file was written; another number means another data
    set, and with it other test sizes than the paper's.
    """

    file: str
    sha256: str
    mirror_columns: tuple[str, ...]
    hub_id: str
    config: str | None
    split: str
    hub_columns: tuple[str, ...]
    hub_rows: int
    licence: str
    within: str | None = None


def read(source: Source, mirror: Path | str | None, revision: str) -> tuple[list[dict], dict]:
    """Raw rows in the order of the source, and their provenance (the keys of ``split.json``'s ``source``).

    With ``mirror`` the hub is never asked and ``revision`` means nothing: the pinned sha256 says what was read.

    Raises:
        UserError: the mirror file is missing or differs from its pinned hash; the hub cannot be reached, refuses, or
            has other columns or another number of rows; a cached file is not what the hub sent.
    """
    return _from_mirror(source, Path(mirror)) if mirror is not None else _from_hub(source, revision)


def _from_mirror(source: Source, mirror: Path) -> tuple[list[dict], dict]:
    path = mirror / "data" / source.file
    if not path.is_file():
        raise UserError(
            f"{path}: no such file in the mirror; put {source.file} (sha256 {source.sha256}) there, "
            f"or leave the mirror out to read {source.hub_id} from the hub."
        )
    found = sha256_of_file(path)
    if found != source.sha256:
        raise UserError(
            f"{path}: sha256 is {found} but {source.sha256} is pinned; replace the file with the pinned version, "
            f"or leave the mirror out to read {source.hub_id} from the hub."
        )
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        _check_columns(str(path), rows[0], source.mirror_columns)
    elif source.within is None:
        rows = read_jsonl(path, source.mirror_columns)
    else:
        rows = read_json(path)[source.within]
        _check_columns(f"{path}: {source.within}", rows[0], source.mirror_columns)
    provenance = {
        "kind": "mirror",
        "id": source.hub_id,
        "file": f"data/{source.file}",
        "revision": None,
        "resolved_sha": None,
        "raw_sha256": found,
        "raw_rows": len(rows),
        "licence": source.licence,
    }
    return rows, provenance


@contextmanager
def as_user_error(name: str, todo: str) -> Iterator[None]:
    """Turn what goes wrong while a data set is read from the hub into one sentence.

    Raises:
        UserError: whatever the hub or the datasets library says; names the data set and what to do.
    """
    import datasets
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except (OSError, HTTPError, datasets.exceptions.DatasetsError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise UserError(f"{name} could not be read from the hub ({type(error).__name__}: {reason}); {todo}") from error


def _from_hub(source: Source, revision: str) -> tuple[list[dict], dict]:
    # imported here because datasets takes seconds to import and a mirror needs none of it
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE
    from huggingface_hub.file_download import repo_folder_name

    name = f"data set {source.hub_id} (config {source.config or 'default'}, split {source.split}, revision {revision})"
    todo = (
        "check the network, the id and that your account may read it, or give a mirror folder that holds "
        f"data/{source.file}."
    )
    with as_user_error(name, todo):
        # a full commit is its own resolution: with HF_HUB_OFFLINE set, a cached copy of it serves without network;
        # in all other cases the hub is asked first, since load_dataset alone retries a dead network for half a minute
        resolved = revision
        if not (HF_HUB_OFFLINE and _COMMIT.fullmatch(revision)):
            resolved = HfApi().dataset_info(source.hub_id, revision=revision, timeout=_HUB_SECONDS).sha or revision
        table = datasets.load_dataset(source.hub_id, source.config, split=source.split, revision=resolved)
    cached = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=source.hub_id, repo_type="dataset") / "snapshots" / resolved
    try:
        check_snapshot(cached, name)
    except UserError as error:
        made = ", ".join(sorted({str(Path(file["filename"]).parent) for file in table.cache_files}))
        raise UserError(f"{error} Delete {made} too, which was made from it.") from None
    _check_columns(name, dict.fromkeys(table.column_names), source.hub_columns)
    if len(table) != source.hub_rows:
        raise UserError(
            f"{name} has {len(table)} rows where {source.hub_rows} are expected, so the data set has changed; "
            "give an older commit as its revision."
        )
    provenance = {
        "kind": "hub",
        "id": source.hub_id,
        "config": source.config,
        "split": source.split,
        "revision": revision,
        "resolved_sha": resolved,
        "raw_sha256": None,  # the commit pins the bytes
        "raw_rows": len(table),
        "licence": source.licence,
    }
    return table.to_list(), provenance


def _check_columns(name: str, row: dict, columns: tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in row]
    if missing:
        raise UserError(
            f"{name} has no column {missing[0]!r} (it has {', '.join(row)}), so the data set has changed; "
            "give an older commit as its revision or use the pinned mirror file."
        )
