"""Two optimised prompts of one model side by side: how alike their vectors are, and how alike their answers."""

from collections.abc import Callable, Sequence

from torch.nn.functional import cosine_similarity

from embedgrad.api import TunedPrompt
from embedgrad.evaluation import evaluation_of, unseen
from embedgrad.runtime.progress import Progress
from embedgrad_core import PromptEmbedding, decode
from embedgrad_core.files import Item, UserError


def compared_vectors(a: PromptEmbedding, b: PromptEmbedding) -> dict:
    """Drifts, settings that differ and, where both started from one text, mean cosines over positions."""
    left, right = (prompt.header.get("settings") or {} for prompt in (a, b))
    differing = sorted(key for key in {*left, *right} if left.get(key) != right.get(key))
    cosine = move = None
    if a.slot.prompt_ids == b.slot.prompt_ids:
        cosine = float(cosine_similarity(a.vectors, b.vectors, dim=1).mean())
        move = float(cosine_similarity(a.vectors - a.initial, b.vectors - b.initial, dim=1).mean())
    return {
        "vector_cosine": cosine,
        "move_cosine": move,
        "mean_drift": {"a": float(a.drift.mean()), "b": float(b.drift.mean())},
        "settings": {key: {"a": left.get(key), "b": right.get(key)} for key in differing},
    }


def compared_answers(
    a: TunedPrompt, b: TunedPrompt, items: Sequence[Item], keep_seen: bool = False, log: Callable[[str], None] = print
) -> dict:
    """Both graded on the same items, by a's evaluator and a's decoding; ``keep_seen`` counts those that one was trained on, too.

    Returns:
        Right answers of each with ``wilson`` intervals, b − a in ``points`` with its paired ``interval`` and the exact McNemar's
        ``p``, how many answers are the ``same_text``, and whether b's own evaluator and decoding are a's (``used_alike``).

    Raises:
        UserError: no evaluator, or no item is left.
    """
    grading = a.grading
    if grading is None:
        raise UserError("this prompt does not say how answers are checked; give an evaluator.")
    kept = items if keep_seen else unseen(items, a.prompt, b.prompt)
    gold = {item.id: item.answer for item in kept}
    graded: dict[str, dict[str, dict]] = {}
    with Progress("answers", 2 * len(kept), log) as at:
        for side, prompt in (("before", a.prompt), ("after", b.prompt)):
            rows = decode(a.frozen, prompt.slot, prompt.vectors, kept, a.decoding, **at.next_decoding)
            graded[side] = {row.id: grading.line(row.row(), gold[row.id]) for row in rows}
    found = evaluation_of(kept, graded, len(items) - len(kept), {})
    return {
        "n": found.n,
        "left_out": found.left_out,
        "a": found.before,
        "b": found.after,
        "wilson": {"a": found.wilson["before"], "b": found.wilson["after"]},
        "points": found.points,
        "interval": found.interval,
        "p": found.p,
        "grading": grading.row(),
        "decoding": a.decoding.row(),
        "used_alike": (a.grading, a.decoding) == (b.grading, b.decoding),
        "same_text": sum(row["before"]["output"] == row["after"]["output"] for row in found.rows),
    }
