"""Prompt files on the hub: up with their card and results, down at a commit; nothing that could run, and no token in sight.

The token is the one that the hub's own client finds: HF_TOKEN, or what `hf auth login` keeps.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from embedgrad_core.files import UserError, check_snapshot, reason_of, sha256_of_file

PROMPT, CARD, METRICS = "prompt.safetensors", "README.md", "metrics.json"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")


def check_repository(name: str) -> None:
    """Check a name before anything is loaded.

    Raises:
        UserError: it is not ``owner/name``.
    """
    try:
        validate_repo_id(name)
        sound = name.count("/") == 1
    except HFValidationError:
        sound = False
    if not sound:
        raise UserError(f"{name}: is no repository of the hub; write it as owner/name.")


def push(name: str, files: Mapping[str, bytes], *, private: bool, message: str) -> str:
    """Write files into a model repository, in one commit; it is made if it is not there.

    Args:
        name: ``owner/name``.
        files: by their names there: ``PROMPT``, ``CARD``, ``METRICS`` and nothing else.
        private: whether a new repository is.
        message: of the commit.

    Returns:
        The commit.

    Raises:
        UserError: the hub cannot be reached, or refuses.
    """
    if other := set(files) - {PROMPT, CARD, METRICS}:
        raise ValueError(f"{sorted(other)} is not for the hub")
    api = HfApi()
    with _one_error(name, "write to"):
        api.create_repo(name, private=private or None, exist_ok=True)
        adding = [CommitOperationAdd(place, content) for place, content in sorted(files.items())]
        return str(api.create_commit(name, adding, commit_message=message).oid)


def pull(name: str, revision: str, file: str, sha256: str | None = None) -> tuple[Path, str]:
    """A prompt file of the hub, checked against the hash that the hub gave for it.

    Args:
        name: ``owner/name``.
        revision: a commit, branch or tag.
        file: its name in the repository.
        sha256: what its hash must be.

    Returns:
        Where it lies in the cache, and the commit.

    Raises:
        UserError: no such repository, revision or file; a format other than safetensors; another hash.
    """
    if not file.endswith(".safetensors"):
        kind = "a pickle, which can run code when it is read" if file.endswith(PICKLES) else "no safetensors file"
        raise UserError(f"{name}: {file} is {kind}; prompts are read from safetensors alone.")
    with _one_error(name, "read", revision):
        about = HfApi().model_info(name, revision=revision)
        there = [one.rfilename for one in about.siblings or []]
        if file not in there:
            others = [one for one in there if one.endswith((".safetensors", *PICKLES))]
            hint = f"it holds {', '.join(others[:3])}" if others else "it holds no prompt"
            raise UserError(
                f"{name}: no file {file}; {hint}. Name a safetensors file with --file; pickles are refused."
            )
        path = Path(hf_hub_download(name, file, revision=about.sha))
    check_snapshot(path.parents[len(Path(file).parts) - 1], name)
    if sha256 is not None and (found := sha256_of_file(path)) != sha256.removeprefix("sha256:").lower():
        raise UserError(
            f"{name}: {file} has sha256 {found}, wanted is {sha256}; take the right revision, or fix --sha256."
        )
    return path, str(about.sha)


@contextlib.contextmanager
def _one_error(name: str, verb: str, revision: str = "main") -> Iterator[None]:
    """Whatever the hub's client raises, as one sentence."""
    login = "log in with `hf auth login`, or set HF_TOKEN"
    try:
        yield
    except UserError:
        raise
    except GatedRepoError:
        raise UserError(f"{name}: the repository is gated and this account has no access; {login}.") from None
    except RevisionNotFoundError:
        raise UserError(f"{name}: has no revision {revision!r}; fix --revision.") from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{name}: is not on the hub, or is private and this account may not {verb} it; {login}."
        ) from None
    except LocalEntryNotFoundError:
        raise UserError(f"{name}: the hub cannot be reached; connect and try again.") from None
    except EntryNotFoundError:
        raise UserError(f"{name}: the file is gone from revision {revision!r}.") from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "?"
        if status in (401, 403):
            raise UserError(f"{name}: the hub does not let this account {verb} it ({status}); {login}.") from None
        raise UserError(f"{name}: the hub answered {status} ({reason_of(error)}); try again later.") from None
    # The hub's client has changed its own HTTP library twice; each has its own errors for a hub that is not there.
    except Exception as error:  # noqa: BLE001
        raise UserError(f"{name}: cannot {verb} it ({type(error).__name__}: {reason_of(error)}).") from None
