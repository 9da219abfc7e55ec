"""A folder that appears whole or not at all, and how to read an input as the prompt was trained to see it."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError

from contracts import TEMPORARY, UserError, flush_folder
from embedgrad_core.layout import Slot
from embedgrad_core.model import FrozenModel
from embedgrad_core.prompt import PromptEmbedding


@contextlib.contextmanager
def whole_folder(out: str | Path, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``out``; rename it to ``out`` if the block succeeds.

    Args:
        out: the folder to make.
        replace: whether what lies there gives way, once the new one is whole.

    Raises:
        UserError: ``out`` exists and is not empty, or cannot be written.
    """
    out = Path(out)
    if not replace and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists already; give a new folder, or delete it first.")
    temporary = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=TEMPORARY))
        yield temporary
        for path in (path for path in temporary.rglob("*") if path.is_file()):
            with path.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.chmod(0o755)
        if out.is_dir():
            shutil.rmtree(out)
        temporary.rename(out)
        flush_folder(out.parent)
    except Exception as error:
        # What tokenizers raises when it cannot write is a bare Exception with the system's words.
        if not isinstance(error, OSError | SafetensorError) and "(os error " not in str(error):
            raise
        told = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise UserError(
            f"{out}: cannot be written ({told}); mend that (space, rights) and run the same step again."
        ) from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


# Inputs that an export's lines must read as ours does. None begins with white space, which a swallowing token would take.
PROBES = ("a", "12 + 30", "The film was long.\nI liked it, mostly.", "“Ça va?” 開心 😀")


def reading(slot: Slot) -> dict:
    """How plain tokenizer calls find an input's ids behind the prompt.

    Returns:
        ``before``: text to put in front of the input; ``special``: whether the tokenizer adds its own tokens; ``start``: how
        many ids to cut off in front; ``tail``: text behind the input.

    Raises:
        UserError: no such call gives the ids that the prompt was trained with.
    """
    head, marker = len(slot.head_ids) + slot.k, "EMBEDGRADINPUTSLOT"
    whole = slot.rendered(marker).partition(marker)[0]
    tail = tail_text(slot)
    # In one piece with the prompt's words, since a sentencepiece tokenizer reads " day" otherwise at the start of a text;
    # apart where the tokenizer would merge across the seam.
    for before, special, start in ((whole, slot.layout.kind == "bare", head), (separator_text(slot), False, 0)):
        found = [slot.tokenizer(before + text + tail, add_special_tokens=special)["input_ids"] for text in PROBES]
        if all(ids[start:] == slot.body_ids(text) for ids, text in zip(found, PROBES, strict=True)):
            return {"before": before, "special": special, "start": start, "tail": tail}
    raise UserError(
        "this tokenizer reads what stands behind the prompt neither as one text with it nor apart in the same way; "
        "choose another layout.separator."
    )


def tail_text(slot: Slot) -> str:
    """What stands behind the input: the suffix, in the chat layout the rest of the template too."""
    marker = "EMBEDGRADINPUTSLOT"
    return slot.rendered(marker).partition(marker)[2]


def separator_text(slot: Slot) -> str:
    """What stands between prompt and input: the separator, or the template's own words where the prompt is the system message."""
    marker = "EMBEDGRADINPUTSLOT"
    before = slot.rendered(marker).partition(marker)[0]
    return before[before.rindex(slot.text) + len(slot.text) :]


@torch.no_grad()
def before_input(frozen: FrozenModel, prompt: PromptEmbedding) -> torch.Tensor:
    """(h + k, d) in the model's dtype: what the model is fed before the input, template head and prompt vectors."""
    head = frozen.embed(torch.tensor(prompt.slot.head_ids, dtype=torch.long)).cpu()
    return torch.cat([head, prompt.vectors.to(frozen.dtype)])
