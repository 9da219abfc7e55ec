"""How to read an input as the prompt was trained to see it, and what the model is fed before it."""

import torch

from embedgrad_core.files import UserError
from embedgrad_core.layout import Slot
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.prompt import PromptEmbedding

# Inputs that an export's lines must read as ours does. None begins with white space, which a swallowing token would take.
PROBES = ("a", "12 + 30", "The film was long.\nI liked it, mostly.", "“Ça va?” 開心 😀")

_INPUT = "EMBEDGRADINPUTSLOT"


def reading(slot: Slot) -> dict:
    """How plain tokenizer calls find an input's ids after the prompt.

    Returns:
        ``before``: text to put in front of the input; ``special``: whether the tokenizer adds its own tokens; ``start``: how
        many ids to cut off in front; ``tail``: text after the input.

    Raises:
        UserError: no such call gives the ids that the prompt was trained with.
    """
    head, (whole, tail) = len(slot.head_ids) + slot.k, around_input(slot)
    # In one piece with the prompt's words, since a sentencepiece tokenizer reads " day" otherwise at the start of a text;
    # apart where the tokenizer would merge across the seam.
    for before, special, start in ((whole, slot.layout.kind == "bare", head), (separator_text(slot), False, 0)):
        found = [slot.tokenizer(before + text + tail, add_special_tokens=special)["input_ids"] for text in PROBES]
        if all(ids[start:] == slot.body_ids(text) for ids, text in zip(found, PROBES, strict=True)):
            return {"before": before, "special": special, "start": start, "tail": tail}
    raise UserError(
        "this tokenizer reads what follows the prompt neither as one text with it nor apart in the same way; "
        "choose another layout.separator."
    )


def around_input(slot: Slot) -> tuple[str, str]:
    """What stands before the input, and what follows it: the suffix, in the chat layout the rest of the template too."""
    before, _, tail = slot.rendered(_INPUT).partition(_INPUT)
    return before, tail


def separator_text(slot: Slot) -> str:
    """What stands between prompt and input: the separator, or the template's own words where the prompt is the system message."""
    before, _ = around_input(slot)
    return before[before.rindex(slot.shown) + len(slot.shown) :]


@torch.no_grad()
def before_input(frozen: FrozenModel, prompt: PromptEmbedding) -> torch.Tensor:
    """(h + k, d) in the model's dtype: what the model is fed before the input, template head and prompt vectors."""
    head = frozen.embed(torch.tensor(prompt.slot.head_ids, dtype=torch.long)).cpu()
    return torch.cat([head, prompt.vectors.to(frozen.dtype)])
