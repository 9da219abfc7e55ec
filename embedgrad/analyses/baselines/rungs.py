"""The rungs of the ladder: what a gain stands beside. None of them trains anything.

``no_prompt``            the input alone
``bare``, ``chat``       the text prompt, concatenated or in the chat template
``rewrite``              a human's other wording of the same request, where the task's configuration has one
``few_shot``             after examples of the format with each other's answers, so that none belongs to its input
``examples``             after examples with their right answers, as many as fit
``majority``             the commonest answer of the training items, always
``likelihood``           the likeliest label after the text prompt; nothing is generated
``likelihood_rewrite``   the same after the rewrite
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from embedgrad.analyses.baselines.text_answers import TextAnswers, text_vectors
from embedgrad.grading import Grading
from embedgrad.planning.demand import EXAMPLES
from embedgrad_core import FrozenModel, Layout, Slot
from embedgrad_core.decoding.answers import Decoded
from embedgrad_core.decoding.together import Asked
from embedgrad_core.files import Item, UserError
from embedgrad_core.likelihood import continuation_log_likelihoods

# Items, and the callbacks of decoding → their answers. The model is a rung's own affair.
Answering = Callable[..., list[Decoded]]


@dataclass(frozen=True)
class Rung:
    """One way of answering without training.

    Attributes:
        name: see the module's docstring.
        answer: (items, ``on_progress``, ``on_step`` and ``log`` of :func:`embedgrad_core.decode`) → their answers; raises
            UserError where they do not fit the model's context.
        asks: items → what the model is asked for; None where nothing is generated.
    """

    name: str
    answer: Answering
    asks: Callable[[Sequence[Item]], Asked] | None = None


def rungs(
    texts: TextAnswers,
    train: Sequence[Item],
    grading: Grading,
    *,
    rewrite: str | None = None,
    examples: int = EXAMPLES,
) -> Iterator[Rung]:
    """Every rung that this model, task and configuration have, in a fixed order.

    Args:
        texts: the model, the run's own layout, the human prompt and how to decode; its answers are shared with the protocol search.
        train: where examples and the commonest answer come from.
        grading: of the task; labels and Yes/No have a closed set of answers, other evaluators have no ``majority`` and no
            ``likelihood``.
        rewrite: another wording of the prompt.
        examples: how many of ``few_shot``.
    """
    frozen, layout, prompt, decoding = texts.frozen, texts.layout, texts.prompt, texts.decoding

    def generating(name: str, slot: Slot, vectors: torch.Tensor) -> Rung:
        ends = frozen.stop_ids(decoding.stop_rule)
        asks = partial(Asked, slot, vectors, stop_ids=ends)
        return Rung(name, partial(texts.generated, slot, vectors), lambda items: asks(items=items))

    def of_kind(kind: str) -> Rung:
        if decoding.engine != "native":
            return generating(kind, *text_vectors(frozen, replace(layout, kind=kind), prompt))
        return Rung(kind, partial(texts.decoded, kind), partial(texts.asked, texts.in_layout(kind)))

    bare = replace(layout, kind="bare")
    yield generating("no_prompt", *without_prompt(frozen, bare, prompt))
    for kind in texts.kinds:
        yield of_kind(kind)
    if rewrite:
        yield generating("rewrite", *text_vectors(frozen, layout, rewrite))
    ends = layout.target_prefix or "\n"
    shuffled = f"{worked_examples(train, examples, ends, shuffled=True)}\n\n{prompt}"
    yield generating("few_shot", *text_vectors(frozen, bare, shuffled))
    yield _behind_examples(texts, train, generating)
    if grading.knows_strict:  # a closed set of answers
        labels = label_targets(train)
        common = labels[Counter(item.answer for item in train).most_common(1)[0][0]]
        yield Rung("majority", lambda items, **_: [Decoded(item.id, common, 0, "eos", 0.0) for item in items])
        for name, text in (("likelihood", prompt), ("likelihood_rewrite", rewrite)):
            if text:
                yield Rung(name, _choosing(frozen, *text_vectors(frozen, layout, text), list(labels.values())))


def without_prompt(frozen: FrozenModel, bare: Layout, prompt: str) -> tuple[Slot, torch.Tensor]:
    """A slot of no tokens: the input alone, after the BOS token where the tokenizer adds one."""
    nothing = replace(bare, separator="")
    head = tuple(Slot.place(frozen.tokenizer, nothing, prompt).head_ids)
    return Slot(frozen.tokenizer, nothing, "", head, ()), torch.zeros(0, frozen.width)


def label_targets(train: Sequence[Item]) -> dict[str, str]:
    """Each answer of a closed set with the text that the model is trained to write for it, in the order of the answers.

    Raises:
        UserError: one answer is trained as two texts, so that there is no one text whose likelihood could be asked for.
    """
    found: dict[str, str] = {}
    for item in sorted(train, key=lambda item: (item.answer, item.id)):
        if found.setdefault(item.answer, item.target) != item.target:
            raise UserError(
                f"{item.name}: answer {item.answer!r} has the target {item.target!r} here and {found[item.answer]!r} elsewhere; "
                "give each answer one target."
            )
    return found


def worked_examples(train: Sequence[Item], count: int, ends: str, *, shuffled: bool = False, seed: int = 0) -> str:
    """``count`` training items with their targets, ``ends`` between input and target.

    Drawn by ``seed``, the answers in turn. ``shuffled`` draws without regard to the answers and gives each the target of another:
    the format without the mapping.
    """
    ordered = sorted(train, key=lambda item: item.id)
    chance = random.Random(seed)
    if shuffled:
        chosen = chance.sample(ordered, min(count, len(ordered)))
        targets = [item.target for item in chosen[1:] + chosen[:1]]
    else:
        chosen = _in_turn(chance.sample(ordered, len(ordered)), count)
        targets = [item.target for item in chosen]
    return "\n\n".join(f"{item.input}{ends}{target}" for item, target in zip(chosen, targets, strict=True))


def _in_turn(items: Sequence[Item], count: int) -> list[Item]:
    """The first ``count`` items with the answers in turn; where each answer is its own, simply the first."""
    queues: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        queues[item.answer].append(item)
    chosen: list[Item] = []
    while len(chosen) < min(count, len(items)):
        for queue in queues.values():
            if queue and len(chosen) < count:
                chosen.append(queue.pop(0))
    return chosen


def _behind_examples(texts: TextAnswers, train: Sequence[Item], generating: Callable[..., Rung]) -> Rung:
    """After right examples: one of each answer (at most 8, at least 3), half as many until every item fits."""
    layout = replace(texts.layout, separator="\n\n")
    ends = layout.target_prefix or "\n"

    def tried() -> Iterator[tuple[Rung, bool]]:
        """Rungs with fewer and fewer examples, and whether one is the last."""
        count = min(8, max(EXAMPLES, len({item.answer for item in train})))
        while count:
            text = f"{texts.prompt}\n\n{worked_examples(train, count, ends)}"
            yield generating("examples", *text_vectors(texts.frozen, layout, text)), count == 1
            count //= 2

    def answer(items: Sequence[Item], **callbacks: Callable) -> list[Decoded]:
        for rung, last in tried():
            try:
                return rung.answer(items, **callbacks)
            except UserError:
                if last:
                    raise
        raise AssertionError("at least one example is tried")

    def asks(items: Sequence[Item]) -> Asked:
        every = [rung.asks(items) for rung, _ in tried() if rung.asks]
        return next(filter(texts.fits, every), every[-1])

    return Rung("examples", answer, asks)


def _choosing(frozen: FrozenModel, slot: Slot, vectors: torch.Tensor, labels: Sequence[str]) -> Answering:
    def answer(
        items: Sequence[Item], on_progress: Callable[[int], None] = lambda done: None, **_: Callable
    ) -> list[Decoded]:
        inputs = [item.input for item in items]
        found, _lengths = continuation_log_likelihoods(frozen, slot, vectors, inputs, labels, on_progress=on_progress)
        return [
            Decoded(item.id, labels[chosen], 0, "eos", 0.0)
            for item, chosen in zip(items, found.argmax(dim=1).tolist(), strict=True)
        ]

    return answer
