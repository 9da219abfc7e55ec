"""A local model folder in the Hugging Face layout: the files that it needs, and one fingerprint over what it holds.

Reads no weights and needs no torch, so that a folder can be refused before any job starts.
"""

from collections.abc import Mapping
from pathlib import Path

from embedgrad_core.files.atomic import parse_json, sha256_of_bytes, sha256_of_file
from embedgrad_core.files.errors import UserError

INDEX = "model.safetensors.index.json"
MANIFEST = "manifest.json"  # says where a folder came from
# Any one of these sets of files is a vocabulary that a tokenizer can be read from.
_VOCABULARIES = (
    {"tokenizer.json"},
    {"tokenizer.model"},
    {"vocab.json", "merges.txt"},
    {"vocab.txt"},
    {"spiece.model"},
    {"sentencepiece.bpe.model"},
    {"tekken.json"},
)
_FINGERPRINTED = {".safetensors", ".json", ".txt", ".jinja"}


def missing_files(folder: str | Path) -> list[str]:
    """What a model folder lacks to be loaded: names of files, or words where any of several would do; empty for a whole one.

    ``tokenizer_config.json`` counts: without it some tokenizers load and know no end token and no chat template.

    Raises:
        UserError: the folder or the index of its shards cannot be read; names it.
    """
    folder = Path(folder)
    try:  # a link to nowhere, as in a copied cache, is not a file
        names = {path.name for path in folder.iterdir() if path.is_file()}
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); fix its permissions.") from None
    lacks = [name for name in ("config.json", "tokenizer_config.json") if name not in names]
    if not any(files <= names for files in _VOCABULARIES):
        lacks.append("tokenizer.json (nor tokenizer.model, nor vocab.json with merges.txt)")
    # The order in which transformers looks: with a single file it reads no index.
    if "model.safetensors" in names:
        return lacks
    if INDEX not in names:
        return [*lacks, "model.safetensors (only safetensors are read)"]
    absent = [shard for shard in shards_of(folder / INDEX) if not (folder / shard).is_file()]
    if absent:
        lacks.append(f"{absent[0]} ({len(absent)} of the shards that {INDEX} names)")
    return lacks


def shards_of(index: Path) -> list[str]:
    """The files of weights that an index names, sorted.

    Raises:
        UserError: it is not an index; names it.
    """
    try:
        shards = sorted(set(parse_json(index.read_text(encoding="utf-8"))["weight_map"].values()))
        if not shards or not all(isinstance(shard, str) for shard in shards):
            raise TypeError("weight_map must give each weight the name of a file")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{index}: not an index of weights ({error}); take a whole copy.") from None
    return shards


def folder_hashes(folder: str | Path) -> dict[str, str]:
    """sha256 of the weights, configuration and tokenizer of a local model folder, by file name; the manifest is about them.

    Raises:
        UserError: a file that cannot be read; names it.
    """
    try:
        return {
            path.name: sha256_of_file(path)
            for path in sorted(Path(folder).iterdir())
            if path.suffix in _FINGERPRINTED and path.name != MANIFEST
        }
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); take a whole copy.") from None


def folder_fingerprint(hashes: Mapping[str, str]) -> str:
    """``sha256:…`` over what :func:`folder_hashes` gives: what results show of a local folder."""
    return "sha256:" + sha256_of_bytes("\n".join(f"{name} {sha256}" for name, sha256 in hashes.items()).encode())


def other_than(hashes: Mapping[str, str], wanted: str) -> str | None:
    """What a folder has in place of ``wanted``, or None if it is the wanted one.

    ``wanted`` is a fingerprint (``sha256:…``) of the whole folder, or the plain sha256 of its ``model.safetensors``: then a folder
    whose configuration was written by another version of a library is the same model.
    """
    weights = hashes.get("model.safetensors", "no model.safetensors")
    found = folder_fingerprint(hashes) if wanted.startswith("sha256:") else weights
    return None if found == wanted else found
