"""Which of the words that a search found stand for an optimised prompt: chosen on dev."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from embedgrad.carry.scores import scores_of
from embedgrad.carry.words import Candidate, Judge
from embedgrad.grading import Grading
from embedgrad.reporting.statistics import Paired, mcnemar
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, PromptEmbedding, Slot
from embedgrad_core.files import Item

WORSE = 0.05  # p of McNemar's exact test below which words with fewer right answers than the text's are out
FINALISTS = {"nearest": 1, "gradient": 1, "rewrite": 2}


@dataclass(frozen=True)
class Finalist:
    """A text on the n dev items.

    Attributes:
        text, way, tokens: what it is, how it was found, how long it is.
        divergence: of its answers from the optimised prompt's, nats per item.
        surprise: of its words, nats per token.
        loss: the divergence and the fluency term, nats per item.
        correct: right answers.
        p: of McNemar's exact test against the prompt's own text, two-sided; None for that text, or without it.
    """

    text: str
    way: str
    tokens: int
    divergence: float
    surprise: float
    loss: float
    correct: int
    n: int
    p: float | None = None


@dataclass(frozen=True)
class Distilled:
    """The chosen words.

    Attributes:
        slot: their text, and the tokens that were scored.
        way: how they were found; ``text`` where nothing was better than the prompt's own words.
        finalists: what was chosen from.
        spent: item forwards.
        counts: of the rewrites, and the texts that were refused.
    """

    slot: Slot
    way: str
    finalists: list[Finalist]
    spent: int
    counts: dict


def best_of(rows: Sequence[Finalist]) -> int:
    """The place of the lowest loss among the finalists that do not answer worse than the prompt's own text beyond chance."""
    own = next((row.correct for row in rows if row.way == "text"), 0)
    worse = [row.correct < own and row.p is not None and row.p < WORSE for row in rows]
    return min(range(len(rows)), key=lambda place: (worse[place], rows[place].loss))


def _verdicts(*named: Any) -> list[bool]:
    return scores_of(*named).correct


def chosen(
    pool: Sequence[Candidate],
    judge: Judge,
    dev: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    labels: Sequence[Item],
    counts: dict,
    log: Callable[[str], None],
) -> Distilled:
    """The finalists on dev, and the best of them."""
    slots: list[Slot] = []
    rows: list[Finalist] = []
    own: list[bool] = []
    for way, count in {"text": 1, **FINALISTS}.items():
        for one in sorted((one for one in pool if one.way == way), key=lambda one: one.loss)[:count]:
            with Progress(f"{way} on dev, divergence", len(dev), log, last=False) as at:
                found = judge.loss(one.slot, dev, at.update)
            assert found is not None, "the budget keeps enough for the choice"
            vectors = PromptEmbedding.from_text(judge.frozen, one.slot).initial
            named = (f"{way} on dev", judge.frozen, one.slot, vectors, dev, grading, decoding, labels, log)
            correct = judge.kept.get("right", partial(_verdicts, *named))
            p, right = None, sum(correct)
            if way == "text":
                own = correct
            elif own:
                pairs = Paired.of(own, correct)
                p = mcnemar(pairs.only_before, pairs.only_after)[0]
            slots.append(one.slot)
            rows.append(Finalist(one.slot.text, way, one.slot.k, *found, judge.total(found), right, len(dev), p))
            told = f"{way}: divergence {found[0]:.4g} nats per item, surprise {found[1]:.3g} nats per token"
            log(f"{told}, {right} of {len(dev)} right on dev: {one.slot.text!r}")
    place = best_of(rows)
    counts = counts | {"texts_refused": judge.refused}
    return Distilled(slots[place], rows[place].way, rows, judge.budget.spent, counts)
