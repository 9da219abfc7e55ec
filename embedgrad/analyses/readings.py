"""What the frozen model makes of given texts after a prompt, whatever it would say: nothing is generated."""

from collections.abc import Callable, Sequence

from embedgrad.analyses.baselines.rungs import label_targets
from embedgrad.grading import Grading
from embedgrad.runtime.progress import Progress
from embedgrad_core import FrozenModel, PromptEmbedding
from embedgrad_core.decoding.scoring import entropy_change, read_answer
from embedgrad_core.files import Item
from embedgrad_core.likelihood import continuation_log_likelihoods


def label_likelihoods(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    items: Sequence[Item],
    grading: Grading,
    log: Callable[[str], None] = print,
) -> dict:
    """Log-likelihoods of every label after the text prompt and after the optimised one.

    An evaluator without a closed set of answers has no labels to read.

    Returns:
        ``labels`` (the answers), ``tokens`` (of each label's text after the first item), and ``items``: id, answer, and for
        ``before`` and ``after`` a log-likelihood per label in nats, summed over its tokens.

    Raises:
        UserError: one answer is trained as two texts.
    """
    if not grading.knows_strict:
        return {"labels": [], "tokens": [], "items": []}
    labels = label_targets(items)
    found: dict[str, list[list[float]]] = {}
    inputs, texts = [item.input for item in items], list(labels.values())
    with Progress("label likelihood", 2 * len(items), log) as at:
        for side, vectors in (("before", prompt.initial), ("after", prompt.vectors)):
            first = len(items) * len(found)
            callbacks = {"on_progress": lambda done, first=first: at.update(first + done)}
            values, lengths = continuation_log_likelihoods(frozen, prompt.slot, vectors, inputs, texts, **callbacks)
            found[side] = [[round(value, 6) for value in row] for row in values.tolist()]
    rows = [
        {"id": item.id, "answer": item.answer, **{side: found[side][place] for side in found}}
        for place, item in enumerate(items)
    ]
    return {"labels": list(labels), "tokens": lengths[0].tolist(), "items": rows}


def entropy_of_answers(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    items: Sequence[Item],
    before: Sequence[dict],
    after: Sequence[dict],
    log: Callable[[str], None] = print,
) -> dict:
    """Section 5.2: is the optimised prompt surer of the same words, or does it only say other words?

    What :func:`~embedgrad_core.decoding.scoring.entropy_change` gives for both answers of each item, each under both prompts.
    """
    old, new = ([read_answer(frozen, row["output"], row["stop"]) for row in rows] for rows in (before, after))
    readings = 4 * sum(bool(one and other) for one, other in zip(old, new, strict=True))
    identities, bodies = [item.id for item in items], [prompt.slot.body_ids(item.input) for item in items]
    with Progress("entropy, answers read", readings, log, unit="answers") as at:
        return entropy_change(frozen, prompt, identities, bodies, old, new, on_items=at.advance)
