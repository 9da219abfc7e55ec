"""Whether weights and data sets are at hand or can be had: local folder, mirror, cache, or hub; licence, gate and size.

Nothing is downloaded but a few kilobytes of description.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from embedgrad import tasks
from embedgrad.tasks.source import Source, read
from embedgrad_core.files import UserError, folder_hashes, missing_files, other_than, shards_of
from embedgrad_core.model.costs import Shape

TIMEOUT = 10  # seconds for the hub to answer
HERE, CACHED, ON_HUB, MADE = "here", "cached", "on the hub", "made by the run"


@dataclass(frozen=True)
class Access:
    """Where a model or a data set can be had from.

    Attributes:
        where: ``here``, ``cached``, ``on the hub``, ``made by the run``, or "" when it cannot be had.
        missing: one sentence on what is missing and what to do, or "".
        bytes_to_fetch: of weights still to download.
        licence: as the hub states it, or "".
        gated: whether the hub asks for a licence to be accepted first.
        shape: from the model's own config.json where that is at hand.
    """

    where: str
    missing: str = ""
    bytes_to_fetch: int = 0
    licence: str = ""
    gated: bool = False
    shape: Shape | None = None


def look_up(name: str, spec: Mapping[str, Any], folder: str | None, *, offline: bool = False) -> Access:
    """How to get at a model of the configuration.

    Args:
        name: its name under ``models``.
        spec: its entry there.
        folder: the local folder that the run would load it from, or None for the hub.
        offline: do not ask the hub.

    A folder is read whole where the entry states its ``sha256``: seconds for a gigabyte.
    """
    if "pretrain" in spec:
        return Access(MADE, shape=shape_of_pretraining(spec["pretrain"]))
    if folder:
        shape, wrong = read_shape(Path(folder, "config.json")), _wrong_with(name, spec, folder)
        return Access("" if wrong else HERE, wrong, shape=shape)
    cached = _cached(spec["hub"], spec.get("revision", "main"))
    if cached or not offline:
        return cached or _on_hub(name, spec)
    return Access("", f"{spec['hub']} is not cached; the hub was not asked.")


def _wrong_with(name: str, spec: Mapping[str, Any], folder: str) -> str:
    """Why a local folder cannot be the model of the configuration, in one sentence with what to do, or ""."""
    try:
        if lacks := missing_files(folder):
            lacking = f"{folder} holds no {', no '.join(lacks)}"
            return f"{lacking}; take a whole copy, or fix models.{name}.folder or the mirror."
        wanted = spec.get("sha256")
        # As each job asks once more after loading; here before any of them starts.
        if wanted and (found := other_than(folder_hashes(folder), wanted)):
            return (
                f"the files of {folder} have {found}, wanted is {wanted}; "
                f"take the right copy, or fix models.{name}.sha256 in the config."
            )
    except UserError as error:
        return str(error)
    return ""


def _cached(hub_id: str, revision: str) -> Access | None:
    """Complete in the local cache: configuration and every shard of its safetensors."""
    from huggingface_hub import try_to_load_from_cache

    def place(file: str) -> Path | None:
        found = try_to_load_from_cache(hub_id, file, revision=revision)
        return Path(found) if isinstance(found, str) else None

    config, single, index = (place(f) for f in ("config.json", "model.safetensors", "model.safetensors.index.json"))
    if config is None:
        return None
    if single is None:
        if index is None:
            return None
        try:
            whole = all(place(shard) for shard in shards_of(index))
        except UserError:
            whole = False
        if not whole:
            return None
    return Access(CACHED, shape=read_shape(config))


def _on_hub(name: str, spec: Mapping[str, Any]) -> Access:
    """Ask the hub."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    hub_id, revision, api = spec["hub"], spec.get("revision", "main"), HfApi()
    leave_out = "or leave its cells out with --config cells=…"
    try:
        about = api.model_info(hub_id, revision=revision, files_metadata=True, timeout=TIMEOUT)
        weights = [file for file in about.siblings or [] if file.rfilename.endswith(".safetensors")]
        found = Access(ON_HUB, "", sum(file.size or 0 for file in weights), _licence(about), bool(about.gated))
        if not weights:
            return replace(found, where="", missing=f"{hub_id} has no safetensors files; only those are read.")
        api.auth_check(hub_id)
    except GatedRepoError:
        todo = f"{hub_id} is gated and this account has no access; accept its licence on the hub and log in with"
        return Access("", f"{todo} `hf auth login`, {leave_out}", gated=True)
    except RevisionNotFoundError:
        return Access("", f"{hub_id} has no revision {revision!r}; fix models.{name}.revision.")
    except RepositoryNotFoundError:
        return Access("", f"{hub_id} is not on the hub, or is private; fix models.{name}.hub.")
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "?"
        return Access("", f"the hub answered {status} about {hub_id}; try again later.")
    # The hub's client has changed its own HTTP library twice; each has its own errors for a hub that is not there.
    except Exception as error:  # noqa: BLE001
        todo = "connect, download it beforehand with `hf download`, or set a mirror folder (--config mirror=DIR)"
        return Access("", f"{hub_id} is not cached and the hub cannot be reached ({type(error).__name__}); {todo}.")
    return found


def _licence(about: Any) -> str:
    card = about.card_data or {}
    return str(card.get("license_name") or card.get("license") or "")


def hub_home() -> Path:
    """Where the hub's client and its data sets library keep what they fetch; their own constants cost their imports."""
    return Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()


def read_shape(config: Path) -> Shape | None:
    """The shape that a config.json states, or None where it is not a decoder that this suite knows; loading it will say so."""
    try:
        return Shape.of(json.loads(config.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, OSError):
        return None


def shape_of_pretraining(spec: Mapping[str, Any]) -> Shape:
    """The shape of a tiny model that the run makes."""
    width, heads = spec.get("width", 128), spec.get("heads", 4)
    return Shape(
        *(spec.get("layers", 4), width, spec.get("feed_forward", 352), heads, heads, max(1, width // heads), 400),
        tied=True,
        stored=4,
    )


def look_up_data(name: str, spec: Mapping[str, Any], mirror: Path | None, *, offline: bool = False) -> Access:
    """How to get at the data set of a task.

    Args:
        name: of the task.
        spec: its entry under ``tasks``.
        mirror: the run's mirror, from which every data set is then read, or None for the hub.
        offline: do not ask the hub.
    """
    task = tasks.find(name)
    source = getattr(task, "SOURCE", None)
    if source is None:
        return Access(MADE)
    revision = spec.get("revision") or task.REVISION
    if mirror is not None:
        try:
            read(source, mirror, revision)
        except UserError as error:
            return Access("", str(error))
        return Access(HERE, licence=source.licence)
    no_hub = offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    # The run too takes a cached copy without the hub only of a full commit: nothing else says what was read.
    if re.fullmatch("[0-9a-f]{40}", revision) and _data_cached(source, revision):
        return Access(CACHED, licence=source.licence)
    return _no_hub(name, source, "the hub was not asked") if no_hub else _data_on_hub(name, source, revision)


def _data_cached(source: Source, revision: str) -> bool:
    """Whether the datasets library has prepared this commit. Its folders spell names in lower case with more underscores."""
    place = Path(os.environ.get("HF_DATASETS_CACHE", hub_home() / "datasets"))
    wanted = source.hub_id.replace("/", "").replace("_", "").lower()
    return any(
        found.parents[3].name.replace("_", "").lower() == wanted
        for found in place.glob(f"*___*/*/*/{revision}/dataset_info.json")
    )


def _data_on_hub(name: str, source: Source, revision: str) -> Access:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        HfApi().dataset_info(source.hub_id, revision=revision, timeout=TIMEOUT)
    except GatedRepoError:
        return Access("", f"{source.hub_id} is gated; accept its terms on the hub and log in with `hf auth login`.")
    except RevisionNotFoundError:
        return Access("", f"{source.hub_id} has no revision {revision!r}; fix tasks.{name}.revision.")
    except RepositoryNotFoundError:
        return Access("", f"{source.hub_id} is not on the hub any more, or is private; set a mirror folder.")
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "?"
        return Access("", f"the hub answered {status} about {source.hub_id}; try again later.")
    except Exception as error:  # noqa: BLE001 (as for models)
        return _no_hub(name, source, f"the hub cannot be reached ({type(error).__name__})")
    return Access(ON_HUB, licence=source.licence)


def _no_hub(name: str, source: Source, why: str) -> Access:
    todo = f"connect, or set a mirror folder that holds data/{source.file} (--config mirror=DIR)"
    return Access("", f"{source.hub_id} is not cached at the commit of tasks.{name}.revision, and {why}; {todo}.")
