"""What is left of a gain elsewhere: prompts side by side on the same items, and each one's share of the gain with an interval."""

from collections.abc import Mapping, Sequence

import numpy as np

from embedgrad.carry.scores import Scores
from embedgrad.probes.calibration import auroc_change, auroc_of
from embedgrad.probes.intervals import paired_mean
from embedgrad.reporting.statistics import Paired, mcnemar, ratio_of_means, wilson
from embedgrad_core.files import Item


def compared(arms: Mapping[str, Scores], text: str, whole: str | None = None) -> dict[str, dict]:
    """A row per prompt.

    Args:
        arms: scores of each prompt on the same n items.
        text: the name of the text prompt, which every gain is over.
        whole: the name of the prompt whose gain is all of it; without it nothing is a share.

    Returns:
        By name: ``loss`` (nats per item), ``correct``, ``n``, ``wilson``, of a closed set of answers ``label_loss`` and ``auroc``
        with its ``auroc_interval``, which no lean to one of the labels changes; and, but for the text prompt, its
        :func:`contrast` with that, and ``share`` of the whole gain, in ``loss``, ``accuracy`` and ``label`` loss, each with
        Fieller's interval of the pairs, or null where the whole gain cannot be told from 0 or the part is the same on all items.
    """
    base = arms[text]
    rows = {}
    for name, found in arms.items():
        n, correct = len(found.correct), sum(found.correct)
        rows[name] = {"n": n, "loss": found.loss, "correct": correct, "wilson": wilson(correct, n)}
        if found.label_losses:
            rows[name]["label_loss"] = sum(found.label_losses) / n
        if found.chances:
            rows[name]["auroc"], rows[name]["auroc_interval"] = auroc_of(np.array(found.chances), np.array(found.own))
        if name == text:
            continue
        rows[name] |= contrast(base, found)
        if whole and name != whole:
            best = arms[whole]
            kept = {
                "loss": share(_falls(base.losses, found.losses), _falls(base.losses, best.losses)),
                "accuracy": share(_rise(base, found), _rise(base, best)),
            }
            if base.label_losses and found.label_losses and best.label_losses:
                fall = _falls(base.label_losses, best.label_losses)
                kept["label"] = share(_falls(base.label_losses, found.label_losses), fall)
            rows[name]["share"] = {"of": whole, **kept}
    return rows


def contrast(one: Scores, other: Scores) -> dict:
    """What the second of two prompts gains over the first, on the same items.

    Returns:
        ``loss_gain`` (nats per item, more is better) with ``loss_interval`` and ``loss_p`` of the paired t test, null with fewer
        than two items and where all gain the same; of a closed set of answers the same three of the label loss (``label_gain``,
        …), and ``auroc_gain`` with its interval (``auroc_gain_interval``), null where there is nothing to rank; ``points`` with
        Newcombe's ``interval`` and McNemar's exact ``p``.
    """
    pairs = Paired.of(one.correct, other.correct)
    found = _gain("loss", one.losses, other.losses)
    if one.label_losses and other.label_losses:
        found |= _gain("label", one.label_losses, other.label_losses)
    if one.chances and other.chances:
        before, after = (np.array(side.chances) for side in (one, other))
        gain = auroc_change(before, after, np.array(one.own))
        found |= {"auroc_gain": gain and gain[0], "auroc_gain_interval": gain and gain[1:]}
    p = mcnemar(pairs.only_before, pairs.only_after)[0]
    return {**found, "points": pairs.points, "interval": pairs.interval, "p": p}


def _gain(name: str, before: Sequence[float], after: Sequence[float]) -> dict:
    """Mean of before - after with the interval and p of the paired t test."""
    fall = _falls(before, after)
    mean, (_, interval, p) = sum(before) / len(before) - sum(after) / len(after), paired_mean(fall)
    return {f"{name}_gain": mean, f"{name}_interval": interval, f"{name}_p": p}


def share(part: Sequence[float], whole: Sequence[float]) -> dict:
    """One mean gain as a share of another, of the same items: ``value`` and ``interval``, null where there is none."""
    value, interval = ratio_of_means(part, whole)
    return {"value": value, "interval": interval}


def _falls(before: Sequence[float], after: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(before, after, strict=True)]


def _rise(before: Scores, after: Scores) -> list[float]:
    return [float(other) - float(one) for one, other in zip(before.correct, after.correct, strict=True)]


def mean_of(arms: Sequence[Scores]) -> dict:
    """Several prompts that differ by chance alone: mean loss and accuracy, and both of each."""
    losses, accuracies = [one.loss for one in arms], [one.accuracy for one in arms]
    return {
        "loss": sum(losses) / len(losses),
        "accuracy": sum(accuracies) / len(accuracies),
        "losses": losses,
        "accuracies": accuracies,
    }


def item_rows(items: Sequence[Item], arms: Mapping[str, Scores]) -> list[dict]:
    """Each item with its losses and verdict under every prompt."""
    return [
        {"id": item.id, **{name: _item(found, at) for name, found in arms.items()}} for at, item in enumerate(items)
    ]


def _item(found: Scores, at: int) -> dict:
    row: dict = {"loss": found.losses[at], "correct": found.correct[at]}
    return row | ({"label_loss": found.label_losses[at]} if found.label_losses else {})


def lines_of(rows: Mapping[str, dict]) -> list[str]:
    """The rows as lines of a log."""
    lines = []
    for name, row in rows.items():
        line = f"{name}: loss {row['loss']:.3f} nats per item, {row['correct']} of {row['n']} right"
        if kept := row.get("share"):
            line += f"; {share_words(kept['loss'])} of the gain in loss of {kept['of']}"
            if "label" in kept:
                line += f", {share_words(kept['label'])} of that among the labels"
        lines.append(line)
    return lines


def share_words(found: Mapping) -> str:
    """A share with its interval in words."""
    if found["value"] is None or found["interval"] is None:
        return "no share that can be told"
    low, high = found["interval"]
    return f"{100 * found['value']:.0f} % [{100 * low:.0f} to {100 * high:.0f} %]"
