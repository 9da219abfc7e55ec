"""EmbedGrad among the methods that the paper places it among: one row a method, a block a cell.

Statistics are those of the seed of median accuracy, paired with EmbedGrad's median seed on the same items; the range over seeds
stands beside them. Holm's correction runs over the methods of a cell. Costs are those of the same seed.
"""

from collections import Counter
from collections.abc import Sequence

from embedgrad.files import FAILURES
from embedgrad.reporting.rivals.entries import EMBEDGRAD, NEEDS, Entry
from embedgrad.reporting.statistics import Paired, detectable_gain, holm, mcnemar, wilson


def numbers(entries: Sequence[Entry]) -> list[dict]:
    """One flat row a method, one number a key; accuracies are fractions, Δ percentage points, missing is None."""
    rows = []
    for cell in dict.fromkeys((entry.cell.dataset, entry.cell.model) for entry in entries):
        mine = [entry for entry in entries if (entry.cell.dataset, entry.cell.model) == cell]
        reference = next(entry for entry in mine if entry.method == EMBEDGRAD)
        others = [entry for entry in mine if entry.method != EMBEDGRAD]
        pairs = {entry.method: _paired(reference, entry) for entry in others}
        p_values = [_p(pairs[entry.method]) for entry in others]
        adjusted = dict(zip(pairs, holm(p_values), strict=True))
        for entry in mine:
            pair = pairs.get(entry.method)
            row = _measured(entry)
            if pair is not None:
                low, high = pair.interval
                row |= {"delta": pair.points, "delta_low": low, "delta_high": high}
                row |= {"p": _p(pair), "p_holm": adjusted[entry.method]}
                gain = detectable_gain(pair.n)
                row["detectable"] = None if gain is None else 100 * gain
            rows.append(row)
    return rows


def _paired(reference: Entry, entry: Entry) -> Paired:
    sides = (one.graded[one.median] for one in (reference, entry))
    return Paired.of(*([row["correct"] for row in side] for side in sides))


def _p(pair: Paired) -> float:
    return mcnemar(pair.only_before, pair.only_after)[0]


def _measured(entry: Entry) -> dict:
    place = entry.median
    rows, fit, run = entry.graded[place], entry.of_median(entry.fits), entry.of_median(entry.answers)
    n, correct = len(rows), entry.correct(place)
    low, high = wilson(correct, n)
    counts = [entry.correct(seed) for seed in range(len(entry.graded))]
    failures = Counter(row["failure"] for row in rows)
    settings = fit.get("settings") or {}
    history = entry.of_median(entry.histories) or []
    return {
        "dataset": entry.cell.dataset,
        "model": entry.cell.model,
        "method": entry.method,
        "family": entry.family or None,
        "needs": NEEDS[entry.family],
        "n": n,
        "correct": correct,
        "accuracy": correct / n,
        "wilson_low": low,
        "wilson_high": high,
        "seeds": len(counts),
        "lowest_accuracy": min(counts) / n,
        "highest_accuracy": max(counts) / n,
        **{f"failure_{name}": failures[name] for name in FAILURES if name != "none"},
        "learning_rate": settings.get("learning_rate"),
        "rate_at_edge": entry.chosen.get("at_edge"),
        "rates_tried": len(entry.chosen["tried"]) if "tried" in entry.chosen else None,
        "control_equal": entry.check.get("equal"),
        "control_loss": entry.check.get("loss"),
        "control_vectors": entry.check.get("vectors"),
        "control_note": entry.check.get("note") or None,
        "best_epoch": fit.get("best_epoch"),
        "trained_parameters": fit.get("trained_parameters", 0),
        "stored_bytes": fit.get("stored_bytes", 0),
        "fit_seconds": fit.get("fit_seconds", _total(history, "train_seconds")) if fit else 0.0,
        "fit_cpu_seconds": fit.get("fit_cpu_seconds", _total(history, "train_cpu_seconds")) if fit else 0.0,
        "fit_threads": fit.get("threads"),
        "fit_device": (fit.get("model") or {}).get("device"),
        "trained_tokens": fit.get("trained_tokens", _total(history, "train_tokens")) if fit else 0,
        "dev_seconds": fit.get("dev_seconds", _dev_seconds(history)) if fit else 0.0,
        "dev_tokens": fit.get("dev_tokens"),
        "item_forwards": fit.get("item_forwards"),
        "generated_tokens": fit.get("generated_tokens"),
        "fit_peak_memory_bytes": fit.get("peak_memory_bytes"),
        "memory_above_loading_bytes": fit.get("memory_above_loading_bytes"),
        "positions": run.get("positions"),
        "calls": run.get("calls", 1),
        "tokens_an_answer": sum(row["n_tokens"] for row in rows) / n,
    }


def _total(history: Sequence[dict], key: str) -> float | None:
    found = [line[key] for line in history if line.get(key) is not None]
    return round(sum(found), 3) if found else None


def _dev_seconds(history: Sequence[dict]) -> float | None:
    seconds, trained = (_total(history, key) for key in ("seconds", "train_seconds"))
    return None if seconds is None or trained is None else round(seconds - trained, 3)
