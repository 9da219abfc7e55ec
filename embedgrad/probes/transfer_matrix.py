"""Is a prompt its task's own? Every prompt of a model on the test items of every task of that model.

A prompt that has learned a form alone, or has only woken the model up, helps on other tasks as well; one that has learned its task
does not, or harms. Two readings of each pair, since a prompt for other words will hardly make the model write this task's:

* ``generated``: the answer that the model writes, read by the task's own evaluator;
* ``likelihood``: the likeliest of the task's answers, whatever the model would write (tasks with a closed set of them).

Beside each stands the same of the prompt's text: what the words do on that task is no transfer of what was learned.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from embedgrad.grading import Grading
from embedgrad.probes.applies import DoesNotApply, check_size
from embedgrad.reporting.statistics import Paired, mcnemar, wilson
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, PromptEmbedding, decode
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.files import Item, UserError
from embedgrad_core.likelihood import continuation_log_likelihoods


@dataclass(frozen=True)
class AskedTask:
    """A task as it is put to every prompt.

    Attributes:
        items: of its test half, as many as it may cost.
        grading: its own evaluator.
        decoding: its own limits.
        labels: each answer of a closed set with the text that a prompt is trained to write for it
            (:func:`~embedgrad.analyses.rungs.label_targets`); none where answers are open.
    """

    items: Sequence[Item]
    grading: Grading
    decoding: Decoding
    labels: Mapping[str, str]


def transfer_matrix(
    frozen: FrozenModel,
    prompts: Mapping[str, PromptEmbedding],
    tasks: Mapping[str, AskedTask],
    *,
    kept: KeptRows | None = None,
    log: Callable[[str], None] = print,
) -> dict:
    """Every prompt on every task.

    Args:
        frozen: the model of all prompts.
        prompts: by the task that each was optimised for.
        tasks: by name.
        kept: blocks that were answered before.
        log: where progress goes.

    Returns:
        ``tasks``, ``prompts`` (names) and ``cells``, one for each prompt, task and ``reading``: ``n``, ``text`` and ``optimised``
        (right answers), ``interval`` (Wilson, of the optimised prompt), ``gain`` in points with its ``gain_interval`` (Newcombe)
        and exact McNemar's ``p``; or ``left_out``, why the pair does not fit.

    Raises:
        DoesNotApply: fewer than two prompts, or too few items.
    """
    if len(prompts) < 2:
        raise DoesNotApply("it takes optimised prompts of two tasks of one model")
    for task in tasks.values():
        check_size(len(task.items))
    cells = []
    total = 2 * len(prompts) * sum(len(task.items) * (1 + bool(task.labels)) for task in tasks.values())
    with Progress("transfer, answers", total, log) as at:
        for made_for, prompt in prompts.items():
            for name, task in tasks.items():
                for reading, read in (("generated", _generated), ("likelihood", _likeliest)):
                    if reading == "likelihood" and not task.labels:
                        continue
                    begun = at.done
                    where = {"prompt": made_for, "task": name, "reading": reading}
                    try:
                        right = [
                            read(frozen, prompt, vectors, task, at, kept)
                            for vectors in (prompt.initial, prompt.vectors)
                        ]
                    except UserError as error:  # an input that does not fit behind this prompt; the other pairs do
                        cells.append({**where, "left_out": str(error)})
                    else:
                        cells.append(where | compared(*right))
                    at.update(begun + 2 * len(task.items))
    return {"prompts": list(prompts), "tasks": list(tasks), "cells": cells}


def compared(text: Sequence[bool], optimised: Sequence[bool]) -> dict:
    """Counts of one pair, and the gain item by item."""
    pairs = Paired.of(text, optimised)
    return {
        "n": pairs.n,
        "text": sum(text),
        "optimised": sum(optimised),
        "interval": wilson(sum(optimised), pairs.n),
        "gain": pairs.points,
        "gain_interval": pairs.interval,
        "p": mcnemar(pairs.only_before, pairs.only_after)[0],
    }


def _generated(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    vectors: torch.Tensor,
    task: AskedTask,
    at: Progress,
    kept: KeptRows | None,
) -> list[bool]:
    rows = decode(frozen, prompt.slot, vectors, task.items, task.decoding, **at.next_decoding, kept=kept)
    outputs = {row.id: row.row() for row in rows}
    return [task.grading.line(outputs[item.id], item.answer)["correct"] for item in task.items]


def _likeliest(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    vectors: torch.Tensor,
    task: AskedTask,
    at: Progress,
    kept: KeptRows | None,
) -> list[bool]:
    answers, inputs = list(task.labels), [item.input for item in task.items]
    counted = at.next_decoding["on_progress"]
    texts = list(task.labels.values())
    found, _ = continuation_log_likelihoods(frozen, prompt.slot, vectors, inputs, texts, on_progress=counted)
    chosen = found.argmax(dim=1).tolist()
    return [answers[place] == item.answer for place, item in zip(chosen, task.items, strict=True)]
