"""An optimised prompt in the formats that other tools read: a PEFT adapter, an ordinary checkpoint, vLLM's prompt embeddings."""

from pathlib import Path

from embedgrad_core.export.card import card, check_licence
from embedgrad_core.export.merged import export_merged
from embedgrad_core.export.metrics import card_numbers
from embedgrad_core.export.peft import export_peft
from embedgrad_core.export.vllm import export_vllm
from embedgrad_core.files import UserError, whole_folder
from embedgrad_core.model.frozen import FrozenModel
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
    metrics_name: str = "metrics",
    prompt_sha256: str | None = None,
) -> None:
    """Write a folder with the prompt and ``README.md``, its model card; whole or not at all.

    Args:
        kind: ``peft``, ``merged`` or ``vllm``.
        frozen: the model that the prompt was made for.
        prompt: the optimised prompt.
        out: a new folder, or an empty one.
        metrics: for the card: a cell's ``metrics.json``, or what ``embedgrad evaluate --json`` prints.
        licence: for the card.
        metrics_name: how messages call the metrics.
        prompt_sha256: hash of the prompt's file, by which a cell's metrics know it.

    Raises:
        UserError: an unknown kind, a folder that holds something, or a layout, architecture or tokenizer that the format cannot
            carry; metrics of another prompt or model; a licence that is not an identifier; says which.
    """
    if kind not in EXPORTS:
        raise UserError(f"export to {kind!r} is unknown; choose one of {', '.join(EXPORTS)}.")
    check_licence(licence)
    numbers = None if metrics is None else card_numbers(metrics, frozen, prompt, prompt_sha256, metrics_name)
    with whole_folder(out) as folder:
        code = EXPORTS[kind](frozen, prompt, folder, Path(out).name)
        text = card(kind, frozen, prompt, code, metrics=numbers, licence=licence)
        (folder / "README.md").write_text(text, encoding="utf-8")
