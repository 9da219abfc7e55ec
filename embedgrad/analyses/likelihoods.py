"""What the frozen model knows behind a prompt, whatever it says: the log-likelihood of each label, nothing generated."""

from collections.abc import Callable, Sequence

import torch

from embedgrad_core import FrozenModel, PromptEmbedding
from embedgrad_core.files import Item
from embedgrad_core.likelihood import continuation_log_likelihoods


def label_likelihoods(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    items: Sequence[Item],
    labels: dict[str, str],
    on_progress: Callable[[int], None] = lambda done: None,
) -> dict:
    """Log-likelihoods of every label behind the text prompt and behind the optimised one.

    Args:
        frozen: the frozen model.
        prompt: ``initial`` is the text's vectors, ``vectors`` the optimised ones.
        items: what to read.
        labels: answer → the text that is trained for it.
        on_progress: called with the number of items read so far, those of both prompts.

    Returns:
        ``labels`` (the answers), ``tokens`` (of each label's text behind the first item), and ``items``: id, answer, and for
        ``before`` and ``after`` a log-likelihood a label in nats, summed over its tokens.
    """
    inputs, texts, found = [item.input for item in items], list(labels.values()), {}
    for side, vectors in (("before", prompt.initial), ("after", prompt.vectors)):
        first = len(items) * len(found)
        found[side], lengths = continuation_log_likelihoods(
            frozen, prompt.slot, vectors, inputs, texts, on_progress=lambda done, first=first: on_progress(first + done)
        )
    rows = [
        {"id": item.id, "answer": item.answer, **{side: _rounded(found[side][place]) for side in found}}
        for place, item in enumerate(items)
    ]
    return {"labels": list(labels), "tokens": lengths[0].tolist(), "items": rows}


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 6) for value in values.tolist()]
