"""What lm-eval asks for in ways that an optimised prompt cannot take as they are: chat histories and caches of answers."""

from collections.abc import MutableMapping, Sequence

import torch

from embedgrad_core.files import UserError, sha256_of_bytes
from embedgrad_core.layout import Slot
from embedgrad_core.prompt import vectors_sha256

# A key that no hash of a request can be.
_OWNER = "embedgrad: whose answers these are"


def fingerprint(slot: Slot, vectors: torch.Tensor, resolved: str, dtype: torch.dtype) -> str:
    """Of what decides an answer besides the request: model, layout and vectors."""
    decides = (resolved, str(dtype), slot.layout, slot.head_ids, slot.prompt_ids, vectors_sha256(vectors))
    return sha256_of_bytes(repr(decides).encode())


def check_cache(answers: MutableMapping, own: str) -> None:
    """Make sure that a cache (``--use_cache``) holds this prompt's answers alone: lm-eval distinguishes them by the request alone.

    Raises:
        UserError: it holds another prompt's or model's.
    """
    owner = answers.get(_OWNER)
    if owner is None and not len(answers):
        answers[_OWNER] = own
    elif owner != own:
        raise UserError(
            "--use_cache: this file holds the answers of another prompt or model, and lm-eval would take them for this one's; "
            "give another name, one for each prompt and for the text prompt."
        )


def user_text(history: Sequence[dict[str, str]]) -> str:
    """The text of the one user turn that an optimised chat prompt puts into its own template.

    Raises:
        UserError: the task brings turns of its own beside it.
    """
    turns = [turn for turn in history if turn["content"].strip() or turn["role"] == "user"]
    if [turn["role"] for turn in turns] != ["user"]:
        roles = ", ".join(turn["role"] for turn in turns)
        raise UserError(
            f"--apply_chat_template: the prompt was optimised in a chat template of its own, with one user turn; the task has "
            f"{roles}. Leave out --fewshot_as_multiturn and --system_instruction."
        )
    return turns[0]["content"]
