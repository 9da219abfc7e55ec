"""Label likelihoods of a cell as two numbers a side: right answers by the likeliest label, and the area under the ROC curve."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """Area under the ROC curve: the chance that a positive outranks a negative, ties counted half (Mann-Whitney's U over n·m).

    Returns:
        None where there are only positives or only negatives.
    """
    truth = np.asarray(positive, dtype=bool)
    n, m = int(truth.sum()), int((~truth).sum())
    if not n or not m:
        return None
    u = rankdata(scores)[truth].sum() - n * (n + 1) / 2
    return float(u / (n * m))


def summary(analysis: dict) -> dict[str, dict]:
    """Per side, ``before`` and ``after``: ``n``, ``correct`` (the likeliest label is the answer), and ``auroc``.

    The score of a label is its log-odds against the others together. Two labels have one curve; more have the mean over their
    curves, each against the rest (Hand and Till 2001 discuss the choice). Nothing for an analysis without labels.
    """
    labels, items = analysis["labels"], analysis["items"]
    if not labels or not items:
        return {}
    answers = np.array([labels.index(row["answer"]) for row in items])
    found = {}
    for side in ("before", "after"):
        values = np.array([row[side] for row in items], dtype=float)
        areas = [auroc(_log_odds(values, label).tolist(), answers == label) for label in range(len(labels))]
        known = [area for area in areas[: 1 if len(labels) == 2 else None] if area is not None]
        correct = int((values.argmax(axis=1) == answers).sum())
        found[side] = {"n": len(items), "correct": correct, "auroc": round(float(np.mean(known)), 4) if known else None}
    return found


def _log_odds(values: np.ndarray, label: int) -> np.ndarray:
    """Of a label against the rest, (items, labels) → (items,)."""
    rest = np.delete(values, label, axis=1)
    return values[:, label] - (np.logaddexp.reduce(rest, axis=1) if rest.shape[1] else 0.0)
