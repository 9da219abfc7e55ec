"""Does the model know which label is right, and how sure may it be? By label likelihoods: no threshold and no format counts.

A label's probability is its likelihood among the labels alone, softmax(ℓ) of their log-likelihoods ℓ, summed over the tokens
of each label (``sum``) or averaged over them (``mean``), which does not favour short labels. ``mass`` is what the labels have
together of all that the model might have said: the format, apart from the choice.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import logsumexp, softmax

from embedgrad.probes.applies import DoesNotApply, check_size
from embedgrad.reporting.analyses import log_odds
from embedgrad.reporting.statistics import wilson

BINS = 10
DRAWS = 1000
SEED = 0


def calibration(
    labels: Sequence[str],
    answers: Sequence[str],
    train_answers: Sequence[str],
    readings: Mapping[str, Sequence[Sequence[float]]],
    tokens: Sequence[int],
) -> dict:
    """Every reading of the same items, on both scales.

    Args:
        labels: C of them.
        answers: the right one of each of N items.
        train_answers: of the training items, whose frequencies are the forecast that knows nothing of an input.
        readings: by name (N, C) log-likelihoods in nats, summed over tokens; ``text prompt`` and ``optimised prompt`` among them.
        tokens: of each label.

    Returns:
        ``n``; ``labels``; ``base_rates``: accuracy and Brier score of the training frequencies; ``readings``: by name ``mass`` and,
        by scale, what :func:`scored` gives; ``change``: by scale, the optimised prompt minus the text prompt, paired.

    Raises:
        DoesNotApply: no closed set of labels, or too few items.
    """
    check_labels(labels, len(answers))
    truth = np.array([labels.index(answer) for answer in answers])
    rates = np.array([[train_answers.count(label) for label in labels]], dtype=float)
    constant = np.repeat(rates / rates.sum(), len(truth), axis=0)
    scales = {
        name: {scale: probabilities(values, tokens if scale == "mean" else None) for scale in ("sum", "mean")}
        for name, values in readings.items()
    }
    mass = {name: float(np.exp(logsumexp(np.asarray(values), axis=1)).mean()) for name, values in readings.items()}
    before, after = (scales[name] for name in ("text prompt", "optimised prompt"))
    return {
        "n": len(truth),
        "labels": list(labels),
        "base_rates": {
            "accuracy": float((constant.argmax(axis=1) == truth).mean()),
            "brier": float(brier(constant, truth).mean()),
        },
        "readings": {
            name: {"mass": mass[name], **{scale: scored(chances, truth) for scale, chances in both.items()}}
            for name, both in scales.items()
        },
        "change": {scale: change(before[scale], after[scale], truth) for scale in before},
    }


def check_labels(labels: Sequence[str], items: int) -> None:
    """Refuse what cannot be calibrated.

    Raises:
        DoesNotApply: no closed set of labels, or too few items.
    """
    if len(labels) < 2:
        raise DoesNotApply("the answers are open: there are no labels to choose among")
    check_size(items)


def probabilities(values: Sequence[Sequence[float]], tokens: Sequence[int] | None = None) -> np.ndarray:
    """(N, C) log-likelihoods as probabilities among the labels; divided by ``tokens`` first, where they are given."""
    likelihoods = np.asarray(values, dtype=float)
    return softmax(likelihoods if tokens is None else likelihoods / np.asarray(tokens), axis=1)


def scored(chances: np.ndarray, truth: np.ndarray) -> dict:
    """One forecast of N items.

    Args:
        chances: (N, C) probabilities.
        truth: (N,) the right column.

    Returns:
        ``accuracy`` and its Wilson interval; ``auroc``, of one label against the other, or the mean over labels of each against
        the rest (null where nothing is to be ranked), and ``brier``, both with bootstrap intervals; ``ece`` of the chosen label's
        probability, and ``ece_if_calibrated``: mean and 97.5 % quantile of what a calibrated model, as sure as this one, would
        have on as many items; ``bins`` of :func:`reliability`.
    """
    chosen, confidence = chances.argmax(axis=1), chances.max(axis=1)
    right = chosen == truth
    counts = _resampled(len(truth))
    losses = brier(chances, truth)
    area, interval = auroc_of(chances, truth)
    return {
        "accuracy": float(right.mean()),
        "accuracy_interval": list(wilson(int(right.sum()), len(right))),
        "auroc": area,
        "auroc_interval": interval,
        "brier": float(losses.mean()),
        "brier_interval": _interval(counts @ losses / len(losses)),
        "ece": ece(confidence, right),
        "ece_if_calibrated": _if_calibrated(confidence),
        "bins": reliability(confidence, right),
    }


def change(before: np.ndarray, after: np.ndarray, truth: np.ndarray) -> dict:
    """Accuracy, AUROC and Brier score, after minus before on the same items, with bootstrap intervals over the items."""
    counts = _resampled(len(truth))
    found: dict[str, list[float] | None] = {}
    for name, values in (
        ("accuracy", [(chances.argmax(axis=1) == truth).astype(float) for chances in (before, after)]),
        ("brier", [brier(chances, truth) for chances in (before, after)]),
    ):
        gain = values[1] - values[0]
        found[name] = [float(gain.mean()), *_ends(counts @ gain / len(gain))]
    found["auroc"] = auroc_change(before, after, truth)
    return found


def auroc_of(chances: np.ndarray, truth: np.ndarray) -> tuple[float | None, list[float] | None]:
    """AUROC of (N, C) forecasts of the right columns (N,), as :func:`scored` has it, and its bootstrap interval over the items."""
    area, drawn = _auroc_draws(chances, truth, _resampled(len(truth)))
    return area, _interval(drawn)


def auroc_change(before: np.ndarray, after: np.ndarray, truth: np.ndarray) -> list[float] | None:
    """The second of two forecasts of the same items minus the first, with the ends of its bootstrap interval over the items."""
    counts = _resampled(len(truth))
    (old, drawn_old), (new, drawn_new) = (_auroc_draws(chances, truth, counts) for chances in (before, after))
    return None if old is None or new is None else [new - old, *_ends(drawn_new - drawn_old)]


def brier(chances: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) half the squared distance of each forecast from what came true, 0 to 1; for two labels the usual score (Brier 1950)."""
    wanted = np.eye(chances.shape[1])[truth]
    return 0.5 * ((chances - wanted) ** 2).sum(axis=1)


def ece(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: accuracy's distance to confidence in each bin, weighted by its items (Guo et al. 2017, Eq. 3)."""
    rows = reliability(confidence, right, bins)
    return float(sum(row["n"] * abs(row["right"] / row["n"] - row["confidence"]) for row in rows) / len(right))


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[dict]:
    """Bins of equal width that hold an item: mean ``confidence``, how many were ``right``, ``n``."""
    places = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
    rows = []
    for place in np.unique(places):
        inside = places == place
        rows.append(
            {"confidence": float(confidence[inside].mean()), "right": int(right[inside].sum()), "n": int(inside.sum())}
        )
    return rows


def _if_calibrated(confidence: np.ndarray, draws: int = DRAWS) -> list[float]:
    """Of a few items even a calibrated model's ECE is not 0: drawn outcomes with just these chances (Bröcker and Smith 2007)."""
    chance = np.random.default_rng(SEED)
    drawn = [ece(confidence, chance.random(len(confidence)) < confidence) for _ in range(draws)]
    return [float(np.mean(drawn)), float(np.quantile(drawn, 0.975))]


def _resampled(items: int, draws: int = DRAWS) -> np.ndarray:
    """(draws, items) how often each item is drawn; the same for every reading, so that differences are paired."""
    return np.random.default_rng(SEED).multinomial(items, np.full(items, 1 / items), size=draws).astype(float)


def _auroc_draws(chances: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> tuple[float | None, np.ndarray]:
    """Area under the ROC curve, and of each resample (nan where one side is empty)."""
    labels = range(chances.shape[1]) if chances.shape[1] > 2 else [0]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.maximum(chances, np.finfo(float).tiny))
        areas = []
        for label in labels:
            positive = truth == label
            if positive.all() or not positive.any():
                continue
            scores = log_odds(logs, label)
            won = np.sign(scores[positive][:, None] - scores[~positive][None, :]) / 2 + 0.5
            rows = np.vstack([np.ones(len(truth)), counts])
            here, there = rows[:, positive], rows[:, ~positive]
            areas.append(((here @ won) * there).sum(axis=1) / (here.sum(axis=1) * there.sum(axis=1)))
    if not areas:
        return None, np.full(len(counts), np.nan)
    whole, *drawn = np.nanmean(areas, axis=0)
    return float(whole), np.array(drawn)


def _ends(values: np.ndarray) -> list[float]:
    return [float(end) for end in np.nanquantile(values, [0.025, 0.975])]


def _interval(values: np.ndarray) -> list[float] | None:
    return None if np.isnan(values).all() else _ends(values)
