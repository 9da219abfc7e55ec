"""Does the model know which label is right, and how sure may it be? By label likelihoods: no threshold and no format counts.

A label's probability is its likelihood among the labels alone, softmax(ℓ) of their log-likelihoods ℓ, summed over the tokens
of each label (``sum``) or averaged over them (``mean``), which does not favour short labels. ``mass`` is what the labels have
together of all that the model might have said: the format, apart from the choice.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import logsumexp, softmax

from embedgrad.probes.applies import DoesNotApply, check_size
from embedgrad.probes.intervals import auroc_interval, mover
from embedgrad.reporting.analyses import log_odds
from embedgrad.reporting.statistics import Paired, wilson

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
        by scale, what :func:`scored` gives; ``change``: by name of every other reading and by scale, the optimised prompt minus
        that, paired, as :func:`change` has it.

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
    after = scales["optimised prompt"]
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
        "change": {
            name: {scale: change(before[scale], after[scale], truth) for scale in before}
            for name, before in scales.items()
            if name != "optimised prompt"
        },
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
        the rest (null where nothing is to be ranked), with the interval of :func:`auroc_of`; ``brier`` with a bootstrap interval,
        null where all items have the same score; ``ece`` of the chosen label's probability, and ``ece_if_calibrated``: mean and
        97.5 % quantile of what a calibrated model, as sure as this one, would have on as many items; ``bins`` of
        :func:`reliability`.
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


def change(before: np.ndarray, after: np.ndarray, truth: np.ndarray) -> dict[str, Sequence[float | None] | None]:
    """Accuracy, AUROC and Brier score, after minus before on the same items, each with the ends of its 95 % interval.

    Of accuracy it is Newcombe's, of AUROC that of :func:`auroc_change`, of the Brier score a bootstrap over the items, whose ends
    are null where the score changes by the same on all of them: no resample could tell.
    """
    pairs = Paired.of(*((chances.argmax(axis=1) == truth).tolist() for chances in (before, after)))
    gain = brier(after, truth) - brier(before, truth)
    return {
        "accuracy": [pairs.points / 100, *(end / 100 for end in pairs.interval)],
        "brier": [float(gain.mean()), *(_interval(_resampled(len(truth)) @ gain / len(gain)) or (None, None))],
        "auroc": auroc_change(before, after, truth),
    }


def auroc_of(chances: np.ndarray, truth: np.ndarray) -> tuple[float | None, list[float] | None]:
    """AUROC of (N, C) forecasts of the right columns (N,), as :func:`scored` has it, and its 95 % interval.

    By bootstrap over the items; where all resamples have one area, as of a perfect ranking, by Newcombe's (of several labels the
    mean of theirs), which knows how few the items are.
    """
    area, drawn = _auroc_draws(chances, truth, _resampled(len(truth)))
    return area, None if area is None else _interval(drawn) or _newcombe(chances, truth)


def auroc_change(before: np.ndarray, after: np.ndarray, truth: np.ndarray) -> list[float] | None:
    """The second of two forecasts of the same items minus the first, with the ends of its 95 % interval; None without an AUROC.

    By bootstrap over the items; where all resamples of a forecast have one area, or all differ alike, by MOVER of both intervals
    of :func:`auroc_of` as of independent ones, which is wide.
    """
    counts = _resampled(len(truth))
    (old, drawn_old), (new, drawn_new) = (_auroc_draws(chances, truth, counts) for chances in (before, after))
    if old is None or new is None:
        return None
    if all(_interval(drawn) for drawn in (drawn_old, drawn_new, drawn_new - drawn_old)):
        return [new - old, *_ends(drawn_new - drawn_old)]
    ends_old, ends_new = (auroc_of(chances, truth)[1] or (0.0, 1.0) for chances in (before, after))
    low, high = mover(new, ends_new, old, ends_old)
    return [new - old, max(low, -1.0), min(high, 1.0)]


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
    found = [areas for _, areas in _label_areas(chances, truth, counts)]
    if not found:
        return None, np.full(len(counts), np.nan)
    known = ~np.isnan(found)  # a resample may lack a label, or all but one
    totals, counted = np.where(known, found, 0.0).sum(axis=0), known.sum(axis=0)
    whole, *drawn = np.divide(totals, counted, out=np.full(len(totals), np.nan), where=counted > 0)
    return float(whole), np.array(drawn)


def _label_areas(chances: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Of each label that is right somewhere and wrong elsewhere, how often it is right, and the areas of all items and of each
    resample; of two labels the first alone, since the other has the same.
    """
    logs, rows = np.log(np.maximum(chances, np.finfo(float).tiny)), np.vstack([np.ones(len(truth)), counts])
    found = []
    for label in range(chances.shape[1]) if chances.shape[1] > 2 else [0]:
        positive = truth == label
        if positive.all() or not positive.any():
            continue
        scores = log_odds(logs, label)
        won = np.sign(scores[positive][:, None] - scores[~positive][None, :]) / 2 + 0.5
        here, there = rows[:, positive], rows[:, ~positive]
        with np.errstate(divide="ignore", invalid="ignore"):
            areas = ((here @ won) * there).sum(axis=1) / (here.sum(axis=1) * there.sum(axis=1))
        found.append((int(positive.sum()), areas))
    return found


def _newcombe(chances: np.ndarray, truth: np.ndarray) -> list[float]:
    """Newcombe's interval of the AUROC of two labels; of several, the mean of each label's."""
    whole = _label_areas(chances, truth, np.empty((0, len(truth))))
    ends = [auroc_interval(float(area), right, len(truth) - right) for right, (area,) in whole]
    return [float(end) for end in np.mean(ends, axis=0)]


def _ends(values: np.ndarray) -> list[float]:
    return [float(end) for end in np.nanquantile(values, [0.025, 0.975])]


def _interval(values: np.ndarray) -> list[float] | None:
    """None where they are all the same, which is no certainty."""
    known = values[~np.isnan(values)]
    return None if not len(known) or np.ptp(known) <= 1e-12 else _ends(known)
