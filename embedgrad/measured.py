"""What an evaluation remembers of itself, so that its numbers are not mistaken for those of another prompt, model or data set."""

from collections.abc import Sequence
from pathlib import Path

from embedgrad.tasks.own.data import fingerprint
from embedgrad_core import FrozenModel, PromptEmbedding
from embedgrad_core.files import Item


def measured(
    frozen: FrozenModel, prompt: PromptEmbedding, items: Sequence[Item], data: str | Path | None, keep_seen: bool
) -> dict:
    """The key ``measured`` of what ``embedgrad evaluate --json`` prints.

    Returns:
        ``prompt``: hash of the prompt's vectors and tokens; ``model``: its name and what that was resolved to; ``data``: a file's
        name or a hub data set; ``keep_seen``: whether items that the prompt was trained on were kept, and ``seen`` how many of
        the answered ones they are, null where the prompt does not say what it was trained on.
    """
    trained_on = None if prompt.header.get("seen") is None else set(prompt.header["seen"])
    name = None if data is None else Path(data).name if Path(data).is_file() else str(data)
    return {
        "prompt": prompt.content_sha256(),
        "model": {"name": frozen.name, "resolved": frozen.resolved},
        "data": name,
        "keep_seen": keep_seen,
        "seen": None if trained_on is None else sum(fingerprint(item.input) in trained_on for item in items),
    }
