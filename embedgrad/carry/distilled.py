"""How much of an optimised prompt's gain survives in words, beside random words of the same length."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from embedgrad.analyses.baselines.text_answers import text_vectors
from embedgrad.carry.compared import compared, contrast, item_rows, share, share_words
from embedgrad.carry.divergence import Teacher
from embedgrad.carry.scores import Scores, kept_scores, scores_of
from embedgrad.carry.words import random_words
from embedgrad.grading import Grading
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, PromptEmbedding, Slot
from embedgrad_core.files import Item


def distil_report(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    words: Slot,
    test: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    *,
    answer_tokens: int = 16,
    labels: Sequence[Item] = (),
    state: Path | None = None,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> dict:
    """Measure words beside the prompt that they stand for.

    Args:
        words: where the chosen text sits.
        test: items that neither the prompt nor the words were made with.
        answer_tokens: tokens of each answer along which distributions are compared.
        labels: items that show a closed set's answers besides ``test``.
        state: file that keeps the scores of each prompt; a report that was ended goes on from it.
        seed: of the random words.

    Returns:
        ``n``; ``by`` (:class:`~embedgrad.carry.scores.Scores`); ``arms``, :func:`~embedgrad.carry.compared.compared` of ``text``,
        ``optimised`` (whose gain is the whole), ``distilled`` and ``random_words``, each with its ``words``, ``tokens``, gain
        ``per_token`` (nats and points; null for the text), ``divergence`` from the optimised prompt: ``mean`` (nats per item)
        and the share of the text's that is ``closed``; ``contrasts`` of pairs of them; ``merged``: test inputs before which the
        words are read as other tokens than were scored; ``items``.
    """
    layout = prompt.slot.layout
    control = random_words(frozen, layout, words.k, seed)
    texts = {"text": prompt.slot.text, "distilled": words.text, "random_words": control.text}
    placed = {name: text_vectors(frozen, layout, text) for name, text in texts.items()}
    placed = {"text": placed["text"], "optimised": (prompt.slot, prompt.vectors), **placed}
    kept = kept_scores(state, frozen, test, grading, decoding, labels, log)
    found: dict[str, Scores] = {
        name: scores_of(name, frozen, slot, vectors, test, grading, decoding, labels, log, kept)
        for name, (slot, vectors) in placed.items()
    }
    short = replace(decoding, max_new_tokens=min(answer_tokens, decoding.max_new_tokens))
    teacher = Teacher.of(frozen, prompt, test, short, log)
    apart = {}
    for name in texts:
        with Progress(f"{name}, divergence", len(test), log, last=False) as at:
            apart[name] = teacher.divergences(placed[name][0], test, at.update)
    apart["optimised"] = [0.0] * len(test)
    rows = compared(found, "text", "optimised")
    for name, row in rows.items():
        k = placed[name][0].k
        gained = "loss_gain" in row
        row |= {
            "words": texts.get(name),
            "tokens": k,
            "per_token": {"loss_gain": row["loss_gain"] / k, "points": row["points"] / k} if gained else None,
            "divergence": {
                "mean": sum(apart[name]) / len(test),
                "closed": share(
                    [one - two for one, two in zip(apart["text"], apart[name], strict=True)], apart["text"]
                ),
            },
        }
    return {
        "n": len(test),
        "by": found["text"].by,
        "arms": rows,
        "contrasts": [
            {"of": one, "over": other, **contrast(found[other], found[one])}
            for one, other in (("distilled", "random_words"), ("optimised", "distilled"))
        ],
        "merged": sum(not words.is_seamless(item.input) for item in test),
        "items": item_rows(test, found),
    }


def distilled_lines(report: Mapping) -> list[str]:
    """The report as lines of a log."""
    lines = []
    for name, row in report["arms"].items():
        line = f"{name} ({row['tokens']} tokens): loss {row['loss']:.3f} nats per item, {row['correct']} of {row['n']} right"
        line += f", {row['divergence']['mean']:.3g} nats from the optimised prompt"
        if each := row["per_token"]:
            low, high = row["interval"]
            line += f"; {row['points']:+.1f} points [{low:+.1f}, {high:+.1f}], {each['loss_gain']:+.3g} nats per token"
        lines.append(line)
    kept = report["arms"]["distilled"]["share"]
    loss, accuracy = share_words(kept["loss"]), share_words(kept["accuracy"])
    among = f", {share_words(kept['label'])} of that among the labels" if "label" in kept else ""
    lines.append(f"in words survive {loss} of the gain in loss{among}, and {accuracy} of the gain in accuracy")
    if report["merged"]:
        lines.append(
            f"before {report['merged']} of {report['n']} test inputs the words are read as other tokens than were scored"
        )
    return lines
