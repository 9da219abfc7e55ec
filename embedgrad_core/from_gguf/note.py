"""What a model folder says of the file that its weights were dequantised from.

It stands in ``manifest.json``, which :func:`embedgrad_core.files.folder_fingerprint` leaves out: the fingerprint is of what is
computed with. The note binds itself to the folder by the sha256 of each file, and carries a checksum.
"""

from importlib.metadata import version
from pathlib import Path

from embedgrad_core.files import MANIFEST, UserError, misfit, parse_json, read_json, sha256_of_file, write_json

_KEY = "dequantised_from"


def write_note(folder: Path, *, file: str, sha256: str, quantisation: str, kinds: dict[str, int], tied: bool) -> None:
    """Write the note after the folder's other files.

    Args:
        folder: the model folder, whole but for this.
        file: name of the GGUF file.
        sha256: of its bytes.
        quantisation: as llama.cpp calls the mixture, e.g. ``Q4_K_M``.
        kinds: how many tensors the file holds of each type.
        tied: whether input and output embeddings are one matrix.
    """
    source = {"file": file, "sha256": sha256, "quantisation": quantisation, "tensors": kinds}
    packages = {name: version(name) for name in ("gguf", "transformers", "torch")}
    files = {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())}
    row = {_KEY: source, "dtype": "float16", "tied": tied, "packages": packages, "files": files}
    write_json(folder / MANIFEST, row)


def dequantised_from(folder: Path, hashes: dict[str, str] | None = None) -> str | None:
    """One line on the file that a folder's weights were dequantised from, e.g. ``Q4_1 (model.gguf, sha256 …)``.

    Args:
        folder: a model folder.
        hashes: sha256 of its files by name, where they are at hand: a note on other weights than the folder's is then passed over.

    Returns:
        None for a folder that does not say.

    Raises:
        UserError: the note was changed after it was written.
    """
    path = folder / MANIFEST
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or somebody else's file of this name
        return None
    if not isinstance(found, dict) or _KEY not in found:
        return None
    found = read_json(path)
    if wrong := misfit(found, {_KEY: {"file": str, "sha256": str, "quantisation": str}, "files": dict}):
        raise UserError(f"{path}: key {wrong!r} is not what this suite writes; convert the GGUF file again.")
    weights = {name: sha256 for name, sha256 in (hashes or {}).items() if name.endswith(".safetensors")}
    if any(found["files"].get(name) != sha256 for name, sha256 in weights.items()):
        return None
    source = found[_KEY]
    return f"{source['quantisation']} ({source['file']}, sha256 {source['sha256']})"
