"""The analyses of a run side by side: one line per cell, from the JSON files that each cell's analyses left."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from embedgrad.reporting.results.agreement import check_analyses
from embedgrad.reporting.results.analyses import read_anchoring, read_entropy, read_lat, read_likelihood, read_limits
from embedgrad.reporting.results.collected import Outcome, analyses_of, whole_tasks
from embedgrad.reporting.tables import write_table


def prompt_rows(outcomes: Sequence[Outcome], folder: str | Path) -> list[dict]:
    """Per cell and seed: drift, tokens kept, round trip, entropy split and LAT, where there are such files.

    Raises:
        UserError: an unreadable file, or analyses of another model, prompt or data than the cells'; names the files.
    """
    rows, analyses = [], []
    for outcome in outcomes:
        for metrics, home in outcome.homes(folder):
            row = _cell_and_seed(outcome, metrics)
            row["gain_points"] = round(metrics["delta"]["points"], 2)
            before, after = (metrics[side]["entropy_bits"]["mean"] for side in ("before", "after"))
            row["entropy_change_bits"] = None if None in (before, after) else round(after - before, 4)
            for name, read, show in ANALYSES:
                path = home / f"{name}.json"
                if path.exists():
                    analysis = read(path)
                    analyses.append((analysis, metrics, path))
                    row |= show(analysis)
            rows.append(row)
    check_analyses(analyses)
    return rows


def _cell_and_seed(outcome: Outcome, metrics: dict) -> dict:
    return {"dataset": outcome.cell.dataset, "model": outcome.cell.model, "seed": metrics["cell"]["seed"]}


def _anchoring(analysis: dict) -> dict:
    summary, trip = analysis["summary"], analysis["round_trip"]
    row = {"drift": round(summary["mean_drift"], 4), "tokens_kept": summary["nearest_token_unchanged"]}
    row["positions"] = summary["positions"]
    if trip:
        row |= {f"dev_{name}": round(100 * value, 2) for name, value in trip["accuracy"].items()}
    return row


def _entropy(analysis: dict) -> dict:
    summary = analysis["summary"]
    return {
        f"entropy_by_{part}": None if summary[part]["mean"] is None else round(summary[part]["mean"], 4)
        for part in ("prompt", "text")
    }


def _lat(analysis: dict) -> dict:
    row = {}
    for reader, found in analysis["readers"].items():
        # The responses were the only reader; their columns keep their names.
        prefix = "lat" if reader == "responses" else f"lat_{reader}"
        row[f"{prefix}_held_out"] = round(max(one["accuracy"]["held_out"] for one in found["layers"]), 3)
        for name, one in found["summary"].items():
            row[f"{prefix}_{name}_layers_up"] = f"{one['layers_above_zero']}/{one['layers']}"
    return row


def _likelihood(analysis: dict) -> dict:
    found = likelihood_summary(analysis)
    row = {f"likelihood_{side}": round(100 * one["correct"] / one["n"], 2) for side, one in found.items()}
    return row | {f"auroc_{side}": one["auroc"] for side, one in found.items()}


ANALYSES = (
    ("anchoring", read_anchoring, _anchoring),
    ("entropy", read_entropy, _entropy),
    ("lat", read_lat, _lat),
    ("likelihood", read_likelihood, _likelihood),
)


def limit_rows(outcomes: Sequence[Outcome], folder: str | Path) -> list[dict]:
    """Per cell, seed and token limit: accuracy before and after in per cent, and which answers were cut.

    Raises:
        UserError: an unreadable file, or one of another model than the cell's; names the file.
    """
    rows = []
    for outcome, metrics, analysis in analyses_of(outcomes, folder, "limits.json", read_limits):
        n, where = analysis["n"], _cell_and_seed(outcome, metrics)
        for before, after in zip(analysis["before"], analysis["after"], strict=True):
            row = {**where, "limit": before["limit"], "n": n}
            sides = {"before": before, "after": after}
            row |= {side: round(100 * one["correct"] / n, 2) for side, one in sides.items()}
            row["gain_points"] = round(100 * (after["correct"] - before["correct"]) / n, 2)
            rows.append(
                row | {f"{side}_{key}": one[key] for side, one in sides.items() for key in ("ended", "loops", "cut")}
            )
    return rows


def seed_rows(outcomes: Sequence[Outcome]) -> list[dict]:
    """Per cell with several seeds: the gain in points as Table 2 has it, and what varies: items, seeds, and the rest."""
    rows = []
    for outcome in outcomes:
        found = outcome.pooled
        if not found:
            continue
        each = [metrics["delta"]["points"] for metrics in outcome.metrics]
        low, high = found.interval
        numbers = {
            "gain_points": found.mean,
            "low": low,
            "high": high,
            "seed_min": min(each),
            "seed_max": max(each),
            "sd_items": found.items,
            "sd_seeds": found.seeds,
            "sd_rest": found.rest,
        }
        where = {"dataset": outcome.cell.dataset, "model": outcome.cell.model}
        size = {"items": outcome.metrics[0]["n"], "seeds": len(each)}
        rows.append({**where, **size} | {name: round(value, 2) for name, value in numbers.items()})
    return rows


def auroc(scores: Sequence[float] | np.ndarray, positive: Sequence[bool] | np.ndarray) -> float | None:
    """Area under the ROC curve: the chance that a positive outranks a negative, ties counted half (Mann-Whitney's U over n·m).

    Returns:
        None where there are only positives or only negatives.
    """
    truth, values = np.asarray(positive, dtype=bool), np.asarray(scores)
    if truth.all() or not truth.any():
        return None
    above = stats.mannwhitneyu(values[truth], values[~truth], method="asymptotic").statistic
    return float(above / (truth.sum() * (~truth).sum()))


def likelihood_summary(analysis: dict) -> dict[str, dict]:
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
        areas = [auroc(log_odds(values, label), answers == label) for label in range(len(labels))]
        known = [area for area in areas[: 1 if len(labels) == 2 else None] if area is not None]
        correct = int((values.argmax(axis=1) == answers).sum())
        found[side] = {"n": len(items), "correct": correct, "auroc": round(float(np.mean(known)), 4) if known else None}
    return found


def log_odds(values: np.ndarray, label: int) -> np.ndarray:
    """Of a label against the rest, (items, labels) → (items,)."""
    rest = np.delete(values, label, axis=1)
    return values[:, label] - (np.logaddexp.reduce(rest, axis=1) if rest.shape[1] else 0.0)


def correlation(outcomes: Sequence[Outcome], draws: int = 2000, seed: int = 0) -> dict:
    """The paper's claim that entropy falls where accuracy rises (Section 5.2), over whole tasks and models.

    A task's levels are the same answers as its own cell, and seeds of a cell are no cells of their own: each task and model
    counts once. Answers that loop are left out, since their entropy is low for another reason.

    Returns:
        ``n`` pairs of ``clusters`` tasks; Pearson's r of entropy drop and accuracy gain, with Fisher's 95 % interval (``low``,
        ``high``), as if pairs were independent, and with a bootstrap of whole tasks (``cluster_low``, ``cluster_high``; three tasks
        at least); Spearman's rho with its p; ``with_loops_r``, r where loops count. Nulls below four pairs or where nothing varies.
    """
    cells = [outcome for outcome in whole_tasks([one for one in outcomes if one.gain]) if None not in _drops(outcome)]
    gains = [outcome.gain.points for outcome in cells if outcome.gain]
    tasks = [outcome.cell.task for outcome in cells]
    keys = (
        "pearson_r",
        "low",
        "high",
        "cluster_low",
        "cluster_high",
        "pearson_p",
        "spearman_rho",
        "spearman_p",
        "with_loops_r",
    )
    found: dict[str, float | None] = dict.fromkeys(keys)
    drops, looping = ([_drops(outcome)[place] or 0.0 for outcome in cells] for place in (0, 1))
    if len(cells) >= 4 and len(set(drops)) > 1 and len(set(gains)) > 1:
        pearson, spearman = stats.pearsonr(drops, gains), stats.spearmanr(drops, gains)
        interval, ends = pearson.confidence_interval(), _of_clusters(drops, gains, tasks, draws, seed)
        whole = stats.pearsonr(looping, gains).statistic if len(set(looping)) > 1 else math.nan
        values = (
            pearson.statistic,
            interval.low,
            interval.high,
            *ends,
            pearson.pvalue,
            spearman.statistic,
            spearman.pvalue,
            whole,
        )
        found = {
            key: None if math.isnan(value) else round(float(value), 4) for key, value in zip(keys, values, strict=True)
        }
    return {"n": len(cells), "clusters": len(set(tasks)), **found}


def _drops(outcome: Outcome) -> tuple[float | None, float | None]:
    """Entropy before - after, in bits: without and with answers that loop; the mean over the seeds."""
    found = []
    for key in ("mean_without_loops", "mean"):
        sides = [[metrics[side]["entropy_bits"][key] for metrics in outcome.metrics] for side in ("before", "after")]
        before, after = sides
        known = None not in before and None not in after
        found.append(sum(before) / len(before) - sum(after) / len(after) if known else None)
    return found[0], found[1]


def _of_clusters(
    drops: Sequence[float], gains: Sequence[float], tasks: Sequence[str], draws: int, seed: int
) -> tuple[float, float]:
    """95 % percentile interval of r over resampled tasks; not a number of fewer than three tasks."""
    names = sorted(set(tasks))
    if len(names) < 3:
        return math.nan, math.nan
    pairs = np.array([drops, gains])
    members = [np.flatnonzero([task == name for task in tasks]) for name in names]
    chance = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        picked = pairs[:, np.concatenate([members[place] for place in chance.integers(len(names), size=len(names))])]
        if picked.std(axis=1).min() > 0:
            values.append(np.corrcoef(picked)[0, 1])
    low, high = np.quantile(values, [0.025, 0.975]) if values else (math.nan, math.nan)
    return float(low), float(high)


def write_rows(rows: Sequence[dict], path: str | Path) -> None:
    """CSV with every key that any row has, in the order they first appear; a header alone where there are no rows."""
    keys = list(dict.fromkeys(key for row in rows for key in row)) or ["dataset", "model"]
    write_table(rows, keys, path, "\r\n")
