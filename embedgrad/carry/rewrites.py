"""Other wordings of a text: asked of an instruction-tuned model, or cut and joined from those there are; the better ones breed.

An evolutionary search as EvoPrompt's (Guo et al. 2024, arXiv 2309.08532), with GrIPS's edits of phrases (Prasad et al. 2023,
arXiv 2203.07281) beside the model's rewrites, since a small model often says the same again.
"""

import random
import re
from collections.abc import Callable, Sequence
from functools import partial
from math import ceil

from embedgrad.carry.words import Candidate, Judge
from embedgrad.rivals.families.critic import Model
from embedgrad_core.files import Item

REQUESTS = (
    "Say the following instruction in other words. Reply with the new instruction only.\n\n{one}",
    "Make the following instruction shorter and more direct. Reply with the new instruction only.\n\n{one}",
    "Make the following instruction more precise about how to answer. Reply with the new instruction only.\n\n{one}",
    "Combine these two instructions into a better one. Reply with the new instruction only.\n\n1. {one}\n2. {two}",
)
PARENTS = 6  # texts that breed
FUTILE = 50  # proposals in a row that bring nothing new end the search


def evolve(
    pool: Sequence[Candidate],
    judge: Judge,
    screen: Sequence[Item],
    rewriter: Model | None,
    item_tokens: int,
    seed: int,
    on_proposal: Callable[[], None] = lambda: None,
) -> tuple[list[Candidate], dict]:
    """Breed texts until the judge's budget is spent or nothing new comes.

    Args:
        pool: where it begins, one text at least.
        screen: items that each text is scored on.
        rewriter: the model that is asked, with the token limit of its replies; None: texts are only cut and joined.
        item_tokens: of an item with its prompt: a reply is charged as many items as its tokens at most, request included.
        seed: of all draws.
        on_proposal: called after each one.

    Returns:
        The new texts, best first, and counts: ``proposals``, ``replies`` of the model, how many proposals were ``repeated``,
        ``refused`` or ``scored``.
    """
    draw = random.Random(f"rewrites {seed}")
    found, seen, asked, futile = list(pool), {one.slot.text for one in pool}, set(), 0
    counts = dict.fromkeys(("proposals", "replies", "repeated", "refused", "scored"), 0)
    while futile < FUTILE:
        parents = sorted(found, key=lambda one: one.loss)[:PARENTS]
        one, two = (min(draw.choices(parents, k=2), key=lambda some: some.loss).slot.text for _ in range(2))
        request = draw.choice(REQUESTS).format(one=one, two=two)
        if rewriter and draw.random() < 0.5 and request not in asked:
            asked.add(request)
            tokens = len(rewriter.frozen.tokenizer(request)["input_ids"]) + rewriter.decoding.max_new_tokens
            if not judge.budget.take(ceil(tokens / item_tokens)):
                break
            text = instruction_of(judge.kept.get("reply", partial(rewriter.ask, request)))
            counts["replies"] += 1
        else:
            text = edited(one, two, draw)
        counts["proposals"] += 1
        on_proposal()
        futile += 1
        if not text or text in seen:
            counts["repeated"] += 1
            continue
        seen.add(text)
        slot = judge.place(text)
        if slot is None:
            counts["refused"] += 1
            continue
        loss = judge.loss(slot, screen)
        if loss is None:
            break
        futile = 0
        counts["scored"] += 1
        found.append(Candidate("rewrite", slot, judge.total(loss)))
    return sorted(found[len(pool) :], key=lambda one: one.loss), counts


def instruction_of(reply: str) -> str:
    """The first line of a reply that is no announcement, without quotation marks, a heading or a number."""
    lines = (" ".join(line.split()) for line in reply.splitlines())
    line = next((line for line in lines if line and not line.endswith(":")), "")
    head, colon, rest = line.partition(":")
    if colon and head.strip("* ").lower() in ("instruction", "new instruction", "rewritten instruction"):
        line = rest
    return re.sub(r"^(\d+[.)]|[-*•])\s+", "", line.strip()).strip("*\"“”' ")


def edited(one: str, two: str, draw: random.Random) -> str:
    """A text without a phrase of one to three words, or with one of another's in it, or its beginning with the other's end."""
    words, others = one.split(), two.split()
    kind = draw.choice(("less", "more", "joined"))
    length = draw.randint(1, 3)
    if kind == "less":
        start = draw.randrange(max(1, len(words) - length + 1))
        return " ".join([*words[:start], *words[start + length :]])
    if kind == "more":
        start, place = draw.randrange(len(others)), draw.randint(0, len(words))
        return " ".join([*words[:place], *others[start : start + length], *words[place:]])
    return " ".join([*words[: draw.randint(1, len(words))], *others[draw.randrange(len(others)) :]])
