"""From a text prompt and labelled items to an optimised prompt: gate, loop, progress. The command and the API share it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from embedgrad.grading import Grading
from embedgrad.runtime.progress import Epochs, history_line, waiting
from embedgrad.tasks.own.data import fingerprint
from embedgrad_core import (
    FrozenModel,
    Layout,
    PromptEmbedding,
    Settings,
    Slot,
    check_step_zero,
    decode,
    optimize,
    optimize_across_folds,
)
from embedgrad_core.decoding.settings import LIMIT, Decoding
from embedgrad_core.decoding.together import answers_together, gains
from embedgrad_core.files import Item, UserError
from embedgrad_core.gate import GateResult
from embedgrad_core.training.settings import across_folds, answers_dev


@dataclass(frozen=True)
class Tuned:
    """What an optimisation gives: the best prompt, a line per epoch, and what the gate saw."""

    prompt: PromptEmbedding
    history: list[dict]
    gate: GateResult


def tune(
    frozen: FrozenModel,
    layout: Layout,
    text: str,
    train: Sequence[Item],
    dev: Sequence[Item],
    settings: Settings,
    *,
    grading: Grading | None = None,
    decoding: Decoding | None = None,
    dev_accuracy: bool = False,
    item_losses: bool = False,
    folds: int = 0,
    state: Path | None = None,
    log: Callable[[str], None] = print,
) -> Tuned:
    """Check step 0, then optimise.

    Args:
        grading: how an answer is checked; kept in the prompt's header.
        decoding: how answers are decoded; kept in the header.
        dev_accuracy: answer and grade dev after each epoch, also where early stopping does not ask for it.
        item_losses: keep the loss of each dev item in the history too; not across folds.
        folds: where dev has fewer than 20 items, the epoch is chosen across so many folds of train and dev, and the
            prompt trained on both; 0 never does.
        state: file for resuming.

    Raises:
        UserError: what :func:`embedgrad_core.optimize` and the gate refuse; a token limit that leaves no room for any input.
    """
    if grading and grading.numbers:
        log(f"labels: {', '.join(f'{number} is {name}' for number, name in grading.numbers.items())}")
    if grading and grading.knows_strict and len(kinds := {item.answer for item in train}) == 1:
        log(
            f"warning: every training item has the answer {min(kinds)!r}; nothing but always saying it can be learnt from them"
        )
    slot = Slot.place(frozen.tokenizer, layout, text)
    if decoding:  # it goes into the prompt file, which must be usable when it is done
        check_room(frozen, slot, [*train, *dev], decoding.max_new_tokens)
    prompt = PromptEmbedding.from_text(frozen, slot)
    with waiting("step-0 gate", log):
        gate = check_step_zero(frozen, prompt, [*train, *dev])
    log(
        f"step-0 gate passed: logits differ by {gate.max_logit_difference:.1g}, loss by {gate.loss_difference:.1g}, "
        f"{gate.seams} of {gate.items} items merge at the prompt's edge"
    )
    answers = {item.id: item.answer for item in dev}
    wanted = answers_dev(dev_accuracy, settings.early_stop)

    with Epochs(settings.epochs, log) as epochs:

        def accuracy(grading: Grading, decoding: Decoding, vectors: torch.Tensor) -> float:
            at = epochs.begin("dev answers", len(dev))
            if gains(frozen, decoding):  # small levels, each with an answer at the limit
                (rows,) = answers_together(frozen, slot, [vectors], dev, decoding, log=log, **at.decoding)
            else:
                rows = decode(frozen, slot, vectors, dev, decoding, log=log, **at.decoding)
            return grading.accuracy({row.id: row.output for row in rows}, answers)

        def on_epoch(line: dict) -> None:
            epochs.end()
            log(history_line(line))

        told: dict[str, Any] = {"state": state, "on_epoch": on_epoch, "log": log, "on_progress": epochs.on_progress}
        if across := across_folds(folds, len(train), len(dev)):
            trained, history = optimize_across_folds(frozen, prompt, [*train, *dev], settings, across, **told)
        else:
            chosen = partial(accuracy, grading, decoding) if wanted and grading and decoding else None
            told |= {"dev_accuracy": chosen, "item_losses": item_losses}
            trained, history = optimize(frozen, prompt, train, dev, settings, **told)
    trained.header["gate"] = asdict(gate)
    trained.header["grading"] = grading.row() if grading else None
    # How many GPUs answered says nothing about the answers.
    trained.header["decoding"] = replace(decoding, tensor_parallel=None).row() if decoding else None
    trained.header["seen"] = sorted({fingerprint(item.input) for item in (*train, *dev)})
    return Tuned(trained, history, gate)


def check_room(frozen: FrozenModel, slot: Slot, items: Sequence[Item], max_new_tokens: int) -> None:
    """Refuse a token limit that leaves no room for any input: no answer could be decoded with such a prompt.

    Raises:
        UserError: names the limit that would fit.
    """
    taken = len(slot.head_ids) + slot.k + min((len(slot.body_ids(item.input)) for item in items), default=0)
    if taken < frozen.context < taken + max_new_tokens:
        raise UserError(
            f"the model has {frozen.context} positions, and prompt and shortest input take {taken} of them: "
            f"{max_new_tokens} new tokens do not fit; lower --max-new-tokens to {frozen.context - taken} at most."
        )


def fitting_limit(frozen: FrozenModel, layout: Layout, text: str, items: Sequence[Item]) -> int:
    """The token limit where nobody chose: 512, or what the longest input leaves free.

    Not less for labels, though they are short: a limit that cuts the text prompt's answers off makes any other prompt look good.
    """
    slot = Slot.place(frozen.tokenizer, layout, text)
    taken = len(slot.head_ids) + slot.k + max((len(slot.body_ids(item.input)) for item in items), default=0)
    return max(1, min(LIMIT, frozen.context - taken))
