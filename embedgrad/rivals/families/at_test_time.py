"""What costs at each answer instead of at training: examples in the context, and Self-Refine (Madaan et al. 2023).

``few_shot`` puts right examples behind the prompt. ``self_refine`` lets the model criticise its own answer and write it again, for
a number of rounds or until it finds nothing wrong. The authors' code is one script a task for closed models; the two requests here
are theirs in kind, and the same for all tasks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from embedgrad.analyses.baselines.rungs import worked_examples
from embedgrad.analyses.baselines.text_answers import text_vectors
from embedgrad.rivals.artefact import Artefact
from embedgrad.rivals.rival import Rival
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, Layout, Slot, decode
from embedgrad_core.decoding.answers import Decoded
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.files import Item, UserError

# What ends a dialogue with oneself: the words that the request for feedback asks for.
CORRECT = "it is correct"
FEEDBACK = (
    "Below are a task and an answer to it. Point out every mistake in the answer, briefly. If the answer has no mistake, "
    'write only "It is correct."'
)
REWRITE = (
    "Below are a task, an answer to it and feedback on the answer. Use the feedback to answer the task again. Write only the "
    "new answer, in the form that the task asks for."
)


@dataclass(frozen=True)
class Answered:
    """Answers, and what they took.

    Attributes:
        rows: one an item; ``n_tokens`` counts all tokens that were generated for it.
        calls: model calls an item, by id.
        positions: that an answer takes besides template, input and what is written, all calls together; a mean over the items. The
            human prompt's own count, and all that a further call reads, template and input again.
    """

    rows: list[Decoded]
    calls: dict[str, int]
    positions: float


def chosen_examples(layout: Layout, rival: Rival, train: Sequence[Item], seed: int) -> str:
    """As many training items as the rival shows, drawn by ``seed``, with their right answers, the answers in turn.

    Raises:
        UserError: there are fewer.
    """
    shots = rival.settings.get("shots", 0)
    if shots > len(train):
        raise UserError(f"rival {rival.name}: {shots} examples of {len(train)} training items; give fewer shots.")
    return worked_examples(train, shots, layout.target_prefix or "\n", seed=seed) if shots else ""


def request(frozen: FrozenModel, human: Slot, text: str) -> tuple[Slot, torch.Tensor]:
    """Where ``text`` sits in the human prompt's place, and its own (k, d) vectors; a blank line follows all but that prompt."""
    layout = human.layout if text == human.text else replace(human.layout, separator="\n\n")
    return text_vectors(frozen, layout, text)


def behind_examples(artefact: Artefact) -> str:
    """The prompt with its :func:`chosen_examples` behind it."""
    return f"{artefact.slot.text}\n\n{artefact.header['examples']}"


def about(human: Slot, item: Item, answer: str, feedback: str | None = None) -> str:
    """What Self-Refine's two requests are about: the task, an answer to it and, for the rewrite, the feedback on it."""
    parts = [f"Task: {human.text}{human.layout.separator}{item.input}", f"Answer: {answer}"]
    return "\n\n".join([*parts, *([] if feedback is None else [f"Feedback: {feedback}"])])


def few_shot(
    frozen: FrozenModel,
    artefact: Artefact,
    items: Sequence[Item],
    decoding: Decoding,
    kept: KeptRows | None = None,
    log: Callable[[str], None] = print,
) -> Answered:
    """Answer after prompt and examples.

    Raises:
        UserError: examples that leave no room for an input.
    """
    slot, vectors = request(frozen, artefact.slot, behind_examples(artefact))
    with Progress(artefact.rival.name, len(items), log) as at:
        rows = decode(frozen, slot, vectors, items, decoding, kept=kept, log=log, **at.decoding)
    return Answered(rows, {row.id: 1 for row in rows}, slot.k)


def self_refine(
    frozen: FrozenModel,
    artefact: Artefact,
    items: Sequence[Item],
    decoding: Decoding,
    kept: KeptRows | None = None,
    log: Callable[[str], None] = print,
) -> Answered:
    """Answer, criticise, answer again, for ``rounds`` rounds at most; there are no examples.

    Every round is kept, so that a method of more rounds goes on from the answers of one of fewer. An item whose criticism would
    not fit the model's context keeps the answer that it has.
    """
    human, rival = artefact.slot, artefact.rival
    positions = {item.id: human.k for item in items}

    def ask(text: str, asked: Sequence[Item], what: str) -> dict[str, Decoded]:
        slot, vectors = request(frozen, human, text)
        fits = [item for item in asked if _fits(frozen, slot, item, decoding)] if text != human.text else list(asked)
        if not fits:
            return {}
        with Progress(f"{rival.name}, {what}", len(fits), log) as at:
            rows = decode(frozen, slot, vectors, fits, decoding, kept=kept, log=log, **at.decoding)
        if text != human.text:
            for item in fits:
                positions[item.id] += _read_of(slot, item)
        return {row.id: row for row in rows}

    def on(item: Item, criticised: str | None = None) -> Item:
        return replace(item, input=about(human, item, answers[item.id].output, criticised))

    answers = ask(human.text, items, "answers")
    tokens = {item.id: answers[item.id].n_tokens for item in items}
    calls = dict.fromkeys(tokens, 1)
    left = list(items)
    for number in range(1, rival.settings["rounds"] + 1):
        feedback = ask(FEEDBACK, [on(item) for item in left], f"feedback {number}")
        for key, row in feedback.items():
            tokens[key] += row.n_tokens
            calls[key] += 1
        left = [item for item in left if item.id in feedback and CORRECT not in feedback[item.id].output.lower()]
        rewritten = ask(REWRITE, [on(item, feedback[item.id].output) for item in left], f"rewrite {number}")
        for key, row in rewritten.items():
            tokens[key] += row.n_tokens
            calls[key] += 1
        answers |= rewritten
        left = [item for item in left if item.id in rewritten]
        log(f"{rival.name}: round {number}, {len(rewritten)} of {len(items)} answers rewritten")
        if not left:
            break
    rows = [replace(row, n_tokens=tokens[row.id]) for row in answers.values()]
    return Answered(rows, calls, sum(positions.values()) / max(1, len(positions)))


def _fits(frozen: FrozenModel, slot: Slot, item: Item, decoding: Decoding) -> bool:
    return _read_of(slot, item) + decoding.max_new_tokens <= frozen.context


def _read_of(slot: Slot, item: Item) -> int:
    """Positions that a call reads."""
    return len(slot.head_ids) + slot.k + len(slot.body_ids(item.input))


METHODS = {"few_shot": few_shot, "self_refine": self_refine}
