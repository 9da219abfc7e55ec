"""How much of a gain is knowledge? The same optimisation on targets that tell nothing of the inputs can teach no more than format.

What the prompt of shuffled targets gains over the text prompt is format; what the true one gains over it is knowledge, at most:
shuffled targets also teach to ignore the input, and so hide what the model knew before. :func:`likeliest` shows that.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import torch

from embedgrad.grading import Grading
from embedgrad.probes.applies import DoesNotApply, check_size
from embedgrad.probes.shuffling import agreement, shuffled_targets
from embedgrad.probes.training import every_epoch
from embedgrad.reporting.statistics import Paired, crossed, mcnemar, wilson
from embedgrad.runtime.progress import Progress
from embedgrad_core import FrozenModel, PromptEmbedding, Settings, Slot, decode
from embedgrad_core.decoding.kept_rows import KeptRows
from embedgrad_core.decoding.settings import Decoding
from embedgrad_core.files import Item
from embedgrad_core.likelihood import continuation_log_likelihoods


def train_shuffled(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    train: Sequence[Item],
    dev: Sequence[Item],
    closed: bool,
    *,
    dealing: int = 0,
    state: Path | None = None,
    log: Callable[[str], None] = print,
) -> tuple[PromptEmbedding, dict]:
    """The optimisation that made ``prompt``, on shuffled targets: the same items, order, rate and number of epochs.

    No epoch is chosen: it runs for as many as the true one was trained for, so that no dev target has a say.

    Args:
        prompt: the optimised prompt; its header says how it was made.
        train, dev: the items that it was trained with; dev's are trained on where the true ones were, across folds.
        closed: whether the answers are labels.
        dealing: which one; each shuffles in another way.
        state: file for resuming.

    Returns:
        The prompt of shuffled targets, and ``epochs``, ``seed`` of the optimisation, and ``dealt``, what
        :func:`~embedgrad.probes.shuffling.agreement` says of the dealing.

    Raises:
        DoesNotApply: the text prompt itself was kept, or there is nothing to deal out.
    """
    made, epochs = dict(prompt.header["settings"]), prompt.header["best_epoch"]
    if not epochs:
        raise DoesNotApply("the text prompt itself was the best on dev: there is no gain to split")
    items = [*train, *dev] if made.get("folds") else list(train)
    settings = replace(
        Settings(**{one.name: made.get(one.name, one.default) for one in fields(Settings)}), epochs=epochs
    )
    dealt = shuffled_targets(items, f"seed {settings.seed}, dealing {dealing}", closed)
    text = PromptEmbedding.from_text(frozen, prompt.slot)
    vectors, _ = every_epoch(frozen, text, dealt, dev, settings, state=state, log=log)
    if len(vectors) <= epochs:
        raise DoesNotApply(
            f"the optimisation on shuffled targets broke off after {len(vectors) - 1} of {epochs} epochs"
        )
    trained = PromptEmbedding(vectors[-1], text.initial, text.slot, text.header)
    return trained, {"epochs": epochs, "seed": settings.seed, "dealt": agreement(items, dealt)}


def answered(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    items: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    kept: KeptRows | None = None,
    log: Callable[[str], None] = print,
) -> list[dict]:
    """Graded answers of a prompt, in the order of the items."""
    with Progress("answers after shuffled targets", len(items), log) as at:
        found = decode(frozen, prompt.slot, prompt.vectors, items, decoding, log=log, kept=kept, **at.decoding)
    rows = {row.id: row.row() for row in found}
    return [grading.line(rows[item.id], item.answer) for item in items]


def likeliest(
    frozen: FrozenModel,
    prompts: Mapping[str, torch.Tensor],
    slot: Slot,
    items: Sequence[Item],
    labels: Mapping[str, str],
    on_progress: Callable[[int], object] = lambda done: None,
) -> dict[str, int] | None:
    """How many items have the right label as the likeliest one, by prompt: what was known, said or not; None without labels.

    Args:
        prompts: by name (k, d) vectors.
        labels: each answer of a closed set with its target.
        on_progress: told how many items were read, of all prompts together.
    """
    if not labels:
        return None
    names, texts, inputs = list(labels), list(labels.values()), [item.input for item in items]
    found = {}
    for place, (prompt, vectors) in enumerate(prompts.items()):
        begun = place * len(items)
        values, _ = continuation_log_likelihoods(
            frozen, slot, vectors, inputs, texts, on_progress=lambda done, begun=begun: on_progress(begun + done)
        )
        chosen = [names[place] for place in values.argmax(dim=1).tolist()]
        found[prompt] = sum(one == item.answer for one, item in zip(chosen, items, strict=True))
    return found


def split_gain(before: Sequence[dict], dealings: Sequence[Sequence[dict]], after: Sequence[dict]) -> dict:
    """The gain, item by item, in two parts that add up.

    Args:
        before, after: graded lines of the text prompt and of the optimised one, the same items in the same order.
        dealings: those of the prompt of each dealing of shuffled targets.

    Returns:
        ``n``; ``sides`` ``before`` and ``after``, and one of each dealing in ``dealings``: right answers, Wilson's interval, how
        many could be read, failures; ``total``, ``format`` (shuffled - before) and ``knowledge`` (after - shuffled): points,
        interval, p. Of one dealing by Newcombe's paired interval and the exact McNemar test, of several by the mixed model with
        dealings and items as crossed random effects, as Table 2 has it of several seeds
        (:func:`embedgrad.reporting.statistics.crossed`).

    Raises:
        DoesNotApply: too few items.
    """
    first, last = _right(before), _right(after)
    shuffled = [_right(rows) for rows in dealings]
    check_size(len(last))
    return {
        "n": len(last),
        "sides": {"before": _side(before), "after": _side(after)},
        "dealings": [_side(rows) for rows in dealings],
        "total": _change([first], [last]),
        "format": _change([first] * len(shuffled), shuffled),
        "knowledge": _change(shuffled, [last] * len(shuffled)),
    }


def _right(rows: Sequence[dict]) -> list[bool]:
    return [bool(row["correct"]) for row in rows]


def _side(rows: Sequence[dict]) -> dict:
    right = sum(_right(rows))
    return {
        "correct": right,
        "wilson": list(wilson(right, len(rows))),
        "readable": sum(row["extracted"] is not None for row in rows),
        "failures": dict(Counter(row["failure"] for row in rows)),
    }


def _change(before: Sequence[Sequence[bool]], after: Sequence[Sequence[bool]]) -> dict:
    """From one set of verdicts to another, dealing by dealing."""
    if len(before) == 1:
        pairs = Paired.of(before[0], after[0])
        p = mcnemar(pairs.only_before, pairs.only_after)[0]
        return {"points": pairs.points, "interval": list(pairs.interval), "p": p}
    gains = [
        [int(b) - int(a) for a, b in zip(one, other, strict=True)] for one, other in zip(before, after, strict=True)
    ]
    found = crossed(gains)
    return {"points": found.mean, "interval": list(found.interval), "p": found.p, "sd_of_dealings": found.seeds}
