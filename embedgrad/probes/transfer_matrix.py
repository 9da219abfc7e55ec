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
from embedgrad.probes.applies import FEWEST, DoesNotApply
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
            (:func:`~embedgrad.analyses.baselines.rungs.label_targets`); none where answers are open.
    """

    items: Sequence[Item]
    grading: Grading
    decoding: Decoding
    labels: Mapping[str, str]


def transfer_matrix(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    tasks: Mapping[str, AskedTask],
    *,
    kept: KeptRows | None = None,
    log: Callable[[str], None] = print,
) -> dict:
    """A row of the matrix: one prompt on every task of its model.

    Args:
        frozen: the model.
        prompt: optimised for one of the tasks.
        tasks: by name.
        kept: blocks that were answered before.
        log: where progress goes.

    Returns:
        ``asked``, one for each ``task`` and ``reading``: ``found``, or ``left_out``, why the pair does not fit: ``n``, ``text`` and
        ``optimised`` (right answers), ``interval`` (Wilson, of the optimised prompt), ``gain`` in points with its
        ``gain_interval`` (Newcombe) and exact McNemar's ``p``. Tasks of too few items are left out.

    Raises:
        DoesNotApply: fewer than two tasks, or too few items in all but one.
    """
    large = {name: task for name, task in tasks.items() if len(task.items) >= FEWEST}
    check_tasks({name: len(task.items) for name, task in tasks.items()})
    asked: list[dict] = []
    total = 2 * sum(len(task.items) * (1 + bool(task.labels)) for task in large.values())
    with Progress("transfer, answers", total, log) as at:
        for name, task in large.items():
            for reading, read in (("generated", _generated), ("likelihood", _likeliest)):
                if reading == "likelihood" and not task.labels:
                    continue
                begun = at.done
                try:
                    right = [read(frozen, prompt, some, task, at, kept) for some in (prompt.initial, prompt.vectors)]
                except UserError as error:  # an input that does not fit behind this prompt; the other pairs do
                    asked.append({"task": name, "reading": reading, "left_out": str(error), "found": None})
                else:
                    found = compared(*right)
                    asked.append({"task": name, "reading": reading, "left_out": None, "found": found})
                at.update(begun + 2 * len(task.items))
    return {"asked": asked}


def check_tasks(sizes: Mapping[str, int]) -> None:
    """Refuse a model whose tasks cannot be held against each other.

    Raises:
        DoesNotApply: fewer than two tasks that have enough items.
    """
    large = sum(size >= FEWEST for size in sizes.values())
    if large < 2:
        raise DoesNotApply(f"it takes two tasks of one model with {FEWEST} test items, and there is {large}")


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
