"""An optimised prompt in the formats that other tools read: a PEFT adapter, an ordinary checkpoint, vLLM's prompt embeddings."""

from pathlib import Path

from contracts import UserError
from embedgrad_core.export.card import card
from embedgrad_core.export.folder import whole_folder
from embedgrad_core.export.merged import export_merged
from embedgrad_core.export.peft import export_peft
from embedgrad_core.export.vllm import export_vllm
from embedgrad_core.model import FrozenModel
from embedgrad_core.prompt import PromptEmbedding

EXPORTS = {"peft": export_peft, "merged": export_merged, "vllm": export_vllm}


def export(
    kind: str,
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    out: str | Path,
    *,
    metrics: dict | None = None,
    licence: str | None = None,
) -> None:
    """Write a folder with the prompt and ``README.md``, its model card; whole or not at all.

    Args:
        kind: ``peft``, ``merged`` or ``vllm``.
        frozen: the model that the prompt was made for.
        prompt: the optimised prompt.
        out: a new folder, or an empty one.
        metrics: for the card, see :func:`embedgrad_core.export.card.card`.
        licence: for the card.

    Raises:
        UserError: an unknown kind, a folder that holds something, or a layout, architecture or tokenizer that the format cannot
            carry; says which.
    """
    if kind not in EXPORTS:
        raise UserError(f"export to {kind!r} is unknown; choose one of {', '.join(EXPORTS)}.")
    with whole_folder(out) as folder:
        code = EXPORTS[kind](frozen, prompt, folder, Path(out).name)
        text = card(kind, frozen, prompt, code, metrics=metrics, licence=licence)
        (folder / "README.md").write_text(text, encoding="utf-8")


__all__ = ["EXPORTS", "export"]
