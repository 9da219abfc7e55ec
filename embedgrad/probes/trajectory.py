"""Where overfitting starts (Section 5.4): loss, accuracy, entropy and drift of every epoch, on dev and on test.

A run of its own, to the last epoch. Nothing is chosen by what it shows; the test half is read for the report alone. Nothing is
generated either: ``accuracy`` is of the likeliest label, ``written`` the share of items whose target greedy decoding would write
letter by letter, which is read off one pass over the target.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from embedgrad.probes.applies import DoesNotApply, check_size
from embedgrad.probes.intervals import paired_mean
from embedgrad.probes.shuffled import likeliest
from embedgrad.runtime.progress import Progress
from embedgrad_core import FrozenModel, PromptEmbedding
from embedgrad_core.anchoring import nearest_tokens
from embedgrad_core.files import Item
from embedgrad_core.likelihood import TargetReading, target_readings
from embedgrad_core.objective import encode
from embedgrad_core.training.step import MicroBatching


def trajectory(
    frozen: FrozenModel,
    text: PromptEmbedding,
    vectors: Sequence[torch.Tensor],
    history: Sequence[Mapping],
    splits: Mapping[str, Sequence[Item]],
    labels: Mapping[str, str],
    log: Callable[[str], None] = print,
) -> dict:
    """Read ``splits`` behind the prompt of every epoch.

    Args:
        text: the text prompt.
        vectors: (k, d) of each epoch, the text's own first.
        history: a line of each epoch.
        splits: ``dev`` and ``test``.
        labels: each answer of a closed set with its target; empty for open answers.
        log: where progress goes.

    Returns:
        ``n``, items of each split; ``epochs``: a row each, with ``train_loss`` (while it ran), ``drift``, ``tokens_kept`` of
        ``positions``, ``nearest`` (own word and nearest word of the changed positions) and, of each split, ``loss`` (nats an
        item), ``accuracy`` (null for open answers), ``written``, ``entropy_bits``; and what :func:`overfitting` says.

    Raises:
        DoesNotApply: too few items, or epochs.
    """
    for name, items in splits.items():
        check_size(len(items), split=name)
    if len(vectors) < 3:
        raise DoesNotApply(f"the optimisation broke off after {len(vectors) - 1} epochs")
    examples = {name: encode(text.slot, items, frozen.context) for name, items in splits.items()}
    per_epoch = sum(map(len, splits.values())) * (2 if labels else 1)
    rows, losses = [], {name: [] for name in splits}  # type: ignore[var-annotated]
    with Progress("epochs read", per_epoch * len(vectors), log) as at:
        for epoch, (one, line) in enumerate(zip(vectors, history, strict=True)):
            row = {
                "epoch": epoch,
                "train_loss": line["train_loss"],
                "drift": line["drift"],
                **_words(frozen, text, one),
            }
            for name, items in splits.items():
                found = target_readings(frozen, text.slot, one, examples[name], MicroBatching(on_items=at.advance))
                losses[name].append([reading.loss for reading in found])
                right = likeliest(frozen, {"": one}, text.slot, items, labels)
                row[name] = _means(found) | {"accuracy": right and right[""] / len(items)}
                at.advance(len(items) if labels else 0)
            rows.append(row)
    sizes = {name: len(items) for name, items in splits.items()}
    return {"n": sizes, "positions": text.slot.k, "epochs": rows, **overfitting(losses["dev"], losses["test"])}


def check_targets(train: Sequence[Item], read: Sequence[Item]) -> None:
    """Refuse labels that are trained as other texts than dev and test have: losses of the two cannot be held against each other.

    Raises:
        DoesNotApply: there is one, as where the model's own chains of thought are trained.
    """
    known = {item.answer: item.target for item in read}
    if any(known.get(item.answer, item.target) != item.target for item in train):
        raise DoesNotApply(
            "training items have other targets than dev and test, such as the model's own chains of thought"
        )


def overfitting(dev: Sequence[Sequence[float]], test: Sequence[Sequence[float]]) -> dict:
    """Where early stopping would have stopped, and between which epochs the test loss turns for good.

    Args:
        dev, test: of each epoch the loss of each item, nats.

    Returns:
        ``best``: the epoch of the lowest dev loss, the earliest of equals; ``test_best``: of the lowest test loss, in hindsight;
        ``over_lowest``: of each epoch its mean test loss minus that of ``test_best``, with the ends of Student's 95 % interval of
        the paired differences (null where they do not spread); null of ``test_best`` itself; ``level``: the epochs whose
        interval is not above 0, which cannot be told from ``test_best``; ``rises_from``: the first epoch after ``test_best``
        from which no later one is ``level``, null where the last one is: overfitting starts after ``test_best`` and shows by
        then; ``rise``: the last epoch minus ``best``, likewise, null where that is the last.
    """
    best, lowest = (int(np.argmin([np.mean(losses) for losses in split])) for split in (dev, test))
    last = len(test) - 1
    over = [None if epoch == lowest else _over(losses, test[lowest]) for epoch, losses in enumerate(test)]
    level = [epoch for epoch, found in enumerate(over) if found is not None and not (found[1] or 0) > 0]
    rises_from = max([lowest, *level]) + 1
    return {
        "best": best,
        "test_best": lowest,
        "over_lowest": over,
        "level": level,
        "rises_from": rises_from if rises_from <= last else None,
        "rise": None if best == last else _over(test[-1], test[best]),
    }


def _over(losses: Sequence[float], others: Sequence[float]) -> list[float | None]:
    mean, interval, _ = paired_mean(np.subtract(losses, others).tolist())
    return [mean, *(interval or (None, None))]


def _means(found: Sequence[TargetReading]) -> dict:
    return {
        "loss": float(np.mean([one.loss for one in found])),
        "entropy_bits": float(np.mean([one.entropy_bits for one in found])),
        "written": float(np.mean([one.written for one in found])),
    }


def _words(frozen: FrozenModel, text: PromptEmbedding, vectors: torch.Tensor) -> dict:
    """How many positions still stand nearest to their own token, and to what the others do."""
    nearest, own = nearest_tokens(frozen, vectors).tolist(), list(text.slot.prompt_ids)
    changed = {
        str(place): [frozen.tokenizer.decode([old]), frozen.tokenizer.decode([new])]
        for place, (old, new) in enumerate(zip(own, nearest, strict=True))
        if old != new
    }
    return {"tokens_kept": len(own) - len(changed), "nearest": changed}
