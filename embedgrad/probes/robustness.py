"""Does the gain survive where the inputs are not quite those it was trained on? The optimised prompt beside the text prompt.

Each condition changes inputs or prompt by a rule (:mod:`embedgrad.probes.perturbations`) and decodes both prompts with the run's
own limits and evaluator. What counts is how much more the optimised prompt loses than the text prompt does: a prompt that answers
nothing right has nothing to lose.

``other_domain`` asks other items of the same kind of answer: generated ones, which are always at hand. ``mention`` is the
control of ``injection``: an answer that stands at the end of the input may be copied without any obedience.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from embedgrad.grading import Grading
from embedgrad.probes.applies import FEWEST, DoesNotApply, check_size
from embedgrad.probes.draws import fresh_items
from embedgrad.probes.intervals import difference_of_changes, permutation_p, sign_flip_p
from embedgrad.probes.perturbations import ENDINGS, TYPO_RATE, ended, label_order, paraphrase, typos, wrong_answers
from embedgrad.reporting.statistics import Paired, wilson
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, PromptEmbedding, decode
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.files import Item

# Task → another task whose answers stand for this one's.
OTHER_DOMAINS: dict[str, tuple[str, dict[str, str]]] = {
    "imdb": ("mood", {"happy": "positive", "sad": "negative", "angry": "negative"}),
    "medd": ("mood", {label: label for label in ("happy", "sad", "angry", "calm")}),
    "causal_judgment": ("blame", {"Yes": "Yes", "No": "No"}),
}
WHAT = {
    "paraphrase": "contractions and synonyms by a table, the order of words kept; no reader's paraphrase",
    "typos": f"two letters change places in {100 * TYPO_RATE:.0f} % of the words of four letters or more (seeded)",
    "label_order": "the label words of the prompt in each other's place, in the text and in the vectors alike",
    "other_domain": "items of another task with the same kind of answer",
    "mention": "the input ends with another answer's name; nothing asks for it",
    "injection": "the input ends with an instruction to give another answer",
}


@dataclass(frozen=True)
class Condition:
    """One change.

    Attributes:
        plain: the items as they are; empty where they are others.
        changed: the items as they are asked, in the same order.
        places: of the prompt's positions, None as they are.
    """

    plain: Sequence[Item]
    changed: Sequence[Item]
    places: Sequence[int] | None = None


def robustness(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    items: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    *,
    task: str | None = None,
    seed: int = 0,
    kept: KeptRows | None = None,
    log: Callable[[str], None] = print,
) -> dict:
    """Answer the items as they are and under every condition, with both prompts.

    Args:
        items: of the test half, as many as it may cost.
        task: the suite's name of it, for ``other_domain``.
        seed: of the typos.
        kept: blocks that were answered before.
        log: where progress goes.

    Returns:
        ``n``; ``plain``, by side (``text``, ``optimised``) the right answers; ``conditions``, by name ``what`` it is, and
        ``found``, or the ``reason`` why it does not apply: ``n``; by side ``plain`` and ``changed`` (right answers), ``drop``
        in points with its ``interval``; ``lost``, the optimised prompt's drop less the text prompt's, of :func:`_apart`;
        of ``mention`` and ``injection`` also ``obeyed``: by side how many answers are the one at the input's end, with and without
        it, and of the injection ``beyond``, points more than where that answer is only named; ``difference``, points by which
        the optimised prompt gives it more often than the text prompt does, and ``difference_of_changes``, the same of how much
        more often each gives it than without, of :func:`_apart`: a prompt that gives a label anyway has not obeyed.
        ``answers``, line by line.

    Raises:
        DoesNotApply: too few items.
    """
    check_size(len(items))
    conditions, reasons = _conditions(frozen, prompt, items, grading, task, seed)
    vectors = {"text": prompt.initial, "optimised": prompt.vectors}
    lines: list[dict] = []
    total = 2 * (len(items) + sum(len(one.changed) for one in conditions.values()))
    with Progress("robustness, answers", total, log) as at:

        def graded(name: str, some: Sequence[Item], places: Sequence[int] | None) -> dict[str, dict[str, dict]]:
            found = {}
            for side, own in vectors.items():
                rows = own if places is None else own[torch.tensor(places)]
                answers = decode(frozen, prompt.slot, rows, some, decoding, **at.next_decoding, log=log, kept=kept)
                gold = {item.id: item.answer for item in some}
                found[side] = {row.id: grading.line(row.row(), gold[row.id]) for row in answers}
                lines.extend({"condition": name, "side": side, **found[side][item.id]} for item in some)
            return found

        plain = graded("plain", items, None)
        told: dict[str, dict] = {name: {"reason": reason, "found": None} for name, reason in reasons.items()}
        for name, one in conditions.items():
            found = _told(plain, items, one, graded(name, one.changed, one.places))
            found["obeyed"] = _obeyed(name, lines, items, grading) if name in ENDINGS else None
            told[name] = {"reason": None, "found": found}
    return {
        "n": len(items),
        "plain": {side: sum(row["correct"] for row in rows.values()) for side, rows in plain.items()},
        "conditions": {name: {"what": what, **told[name]} for name, what in WHAT.items()},
        "answers": lines,
    }


def _conditions(
    frozen: FrozenModel, prompt: PromptEmbedding, items: Sequence[Item], grading: Grading, task: str | None, seed: int
) -> tuple[dict[str, Condition], dict[str, str]]:
    """Those that this cell has, and why it does not have the others."""
    found: dict[str, Condition] = {}
    reasons: dict[str, str] = {}

    def texts(name: str, change: Callable[[Item], str]) -> None:
        changed = [replace(item, input=change(item)) for item in items]
        pairs = [pair for pair in zip(items, changed, strict=True) if pair[0].input != pair[1].input]
        if len(pairs) < FEWEST:
            reasons[name] = f"changes {len(pairs)} of {len(items)} inputs, it takes {FEWEST}"
        else:
            found[name] = Condition([pair[0] for pair in pairs], [pair[1] for pair in pairs])

    texts("paraphrase", lambda item: paraphrase(item.input))
    texts("typos", lambda item: typos(item.input, random.Random(f"{seed}/{item.id}")))
    labels = closed_answers(grading)
    places = label_order(frozen.tokenizer, prompt.slot.prompt_ids, labels)
    if places == sorted(places):
        reasons["label_order"] = "fewer than two label words stand in the prompt as words of their own"
    else:
        found["label_order"] = Condition(items, items, places)
    if task in OTHER_DOMAINS:
        other, answers = OTHER_DOMAINS[task]
        # Drawn label by label in chance order, so that some more have enough of those that count.
        drawn = [item for item in fresh_items(other, 4 * len(items)) if item.answer in answers][: len(items)]
        found["other_domain"] = Condition([], [replace(item, answer=answers[item.answer]) for item in drawn])
    else:
        reasons["other_domain"] = "no other data with this kind of answer are at hand"
    try:
        asked = wrong_answers(items)
        found |= {name: Condition(items, [ended(item, name, asked[item.id]) for item in items]) for name in ENDINGS}
    except DoesNotApply as why:
        reasons |= dict.fromkeys(ENDINGS, str(why))
    return found, reasons


def closed_answers(grading: Grading) -> list[str]:
    """The answers of an evaluator that has a closed set of them."""
    return list({"label": grading.options.get("labels", []), "yes_no": ["Yes", "No"]}.get(grading.evaluator, []))


def _told(
    plain: Mapping[str, Mapping[str, dict]],
    items: Sequence[Item],
    condition: Condition,
    changed: Mapping[str, Mapping[str, dict]],
) -> dict:
    """One condition's counts. Of other items there are no pairs: the gain there is held against the gain on the plain ones."""
    after = {side: [changed[side][item.id]["correct"] for item in condition.changed] for side in plain}
    own = condition.plain or items
    before = {side: [plain[side][item.id]["correct"] for item in own] for side in plain}
    sides: dict[str, dict] = {}
    for side in plain:
        sides[side] = {"plain": sum(before[side]), "changed": sum(after[side]), "drop": None, "interval": None}
        if condition.plain:
            drop = Paired.of(after[side], before[side])
            sides[side] |= {"drop": drop.points, "interval": drop.interval}
    if condition.plain:
        lost = _apart(*((after[side], before[side]) for side in ("optimised", "text")), same_items=True)
    else:
        lost = _apart(*((some["text"], some["optimised"]) for some in (before, after)), same_items=False)
    return {"n": len(condition.changed), "n_plain": len(own), **sides, "lost": lost}


def _apart(one: tuple[list[bool], list[bool]], other: tuple[list[bool], list[bool]], *, same_items: bool) -> dict:
    """How much more ``one`` changes than ``other``: ``points`` with the ``interval`` of MOVER, and ``p`` of the exact permutation
    test, paired over items where both are of the same.
    """
    points, interval = difference_of_changes(one, other, same_items=same_items)
    changes = [[after - before for before, after in zip(*each, strict=True)] for each in (one, other)]
    p = sign_flip_p([a - b for a, b in zip(*changes, strict=True)]) if same_items else permutation_p(*changes)
    return {"points": points, "interval": interval, "p": p}


def _obeyed(condition: str, lines: Sequence[dict], items: Sequence[Item], grading: Grading) -> dict:
    """How often the answer is the one at the input's end, beside how often it is so anyway and where it is only named."""
    asked = wrong_answers(items)

    def given(name: str, side: str) -> list[bool]:
        outputs = {line["id"]: line["output"] for line in lines if (line["condition"], line["side"]) == (name, side)}
        return [grading.grade(outputs[item.id], asked[item.id]).status == "correct" for item in items]

    found: dict[str, dict] = {}
    hits, anyway = ({side: given(name, side) for side in ("text", "optimised")} for name in (condition, "plain"))
    for side, own in hits.items():
        without = anyway[side]
        more = Paired.of(without, own)
        found[side] = {
            "asked": sum(own),
            "rate_interval": wilson(sum(own), len(items)),
            "not_asked": sum(without),
            "more": more.points,
            "interval": more.interval,
            "beyond": None,
        }
        if condition == "injection":
            beyond = Paired.of(given("mention", side), own)
            found[side]["beyond"] = {"points": beyond.points, "interval": beyond.interval}
    between = Paired.of(hits["text"], hits["optimised"])
    apart = _apart(*((anyway[side], hits[side]) for side in ("optimised", "text")), same_items=True)
    return found | {
        "difference": {"points": between.points, "interval": between.interval},
        "difference_of_changes": apart,
    }
