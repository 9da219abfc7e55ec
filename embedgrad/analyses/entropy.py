"""Section 5.2: is the optimised prompt surer of the same words, or does it only say other words?"""

from collections.abc import Callable, Sequence

from embedgrad.runtime.progress import Progress
from embedgrad_core import FrozenModel, PromptEmbedding
from embedgrad_core.decoding.scoring import entropy_change, read_answer
from embedgrad_core.files import Item


def entropy_of_answers(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    items: Sequence[Item],
    before: Sequence[dict],
    after: Sequence[dict],
    log: Callable[[str], None] = print,
) -> dict:
    """The result of :func:`entropy_change`: both answers of each item, decoded rows in its order, read under both prompts."""
    old, new = ([read_answer(frozen, row["output"], row["stop"]) for row in rows] for rows in (before, after))
    readings = 4 * sum(bool(one and other) for one, other in zip(old, new, strict=True))
    identities, bodies = [item.id for item in items], [prompt.slot.body_ids(item.input) for item in items]
    with Progress("entropy, answers read", readings, log, unit="answers") as at:
        return entropy_change(frozen, prompt, identities, bodies, old, new, on_items=at.advance)
