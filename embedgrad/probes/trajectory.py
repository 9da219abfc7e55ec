"""Where overfitting starts (Section 5.4): loss, accuracy, entropy and drift of every epoch, on dev and on test.

A run of its own, to the last epoch. Nothing is chosen by what it shows; the test half is read for the report alone. Nothing is
generated either: ``accuracy`` is of the likeliest label, ``written`` the share of items whose target greedy decoding would write
letter by letter, which is read off one pass over the target.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy import stats

from embedgrad.probes.applies import DoesNotApply, check_size
from embedgrad.probes.shuffled import likeliest
from embedgrad.reporting.statistics import ALPHA
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
    """Where early stopping would have stopped, and what it cost to go on.

    Args:
        dev, test: of each epoch the loss of each item, nats.

    Returns:
        ``best``: the epoch of the lowest dev loss, the earliest of equals; ``test_best``: of the lowest test loss, in hindsight;
        ``rise``: mean test loss of the last epoch minus that of ``best``, with Student's 95 % interval of the paired differences;
        ``starts``: the epoch after ``best``, if that interval is above 0, else null.
    """
    best, hindsight = (int(np.argmin([np.mean(losses) for losses in split])) for split in (dev, test))
    differences = np.subtract(test[-1], test[best])
    mean, error = float(differences.mean()), float(stats.sem(differences))
    half = float(stats.t.ppf(1 - ALPHA / 2, len(differences) - 1)) * error
    rise = [mean, mean - half, mean + half]
    return {"best": best, "test_best": hindsight, "rise": rise, "starts": best + 1 if rise[1] > 0 else None}


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
