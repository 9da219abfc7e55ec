"""EmbedGrad among the methods that the paper places it among: one row a method, a block a cell.

Of several seeds everything is a mean over all of them, none is picked: a difference to EmbedGrad has items and seeds as crossed
random effects, as in Table 2, where a method that has one seed stands beside each of EmbedGrad's. With one seed on both sides it is
Newcombe's interval and the exact McNemar test. Holm's correction runs over the methods of a cell that are rivals: what trains
nothing for the comparison, and EmbedGrad's own second row, are no hypotheses.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import fsum
from typing import Any

from embedgrad.files import FAILURES
from embedgrad.reporting.rivals.entries import EMBEDGRAD, NEEDS, UNTRAINED, Entry
from embedgrad.reporting.statistics import Paired, crossed, detectable_gain, holm, mcnemar, wilson

COSTS = ("fit_seconds", "fit_cpu_seconds", "trained_tokens", "dev_seconds", "trained_parameters", "stored_bytes")


def numbers(entries: Sequence[Entry]) -> list[dict]:
    """One flat row a method, one number a key; accuracies are fractions, Δ percentage points, missing is None."""
    rows = []
    for cell in dict.fromkeys((entry.cell.dataset, entry.cell.model) for entry in entries):
        mine = [entry for entry in entries if (entry.cell.dataset, entry.cell.model) == cell]
        reference = next(entry for entry in mine if entry.method == EMBEDGRAD)
        found = {entry.method: _difference(reference, entry) for entry in mine if entry.method != EMBEDGRAD}
        rivals = [entry.method for entry in mine if entry.family not in ("", UNTRAINED, "embedgrad")]
        adjusted = dict(zip(rivals, holm([found[name]["p"] for name in rivals]), strict=True))
        # The same of all methods: those that were answered say it.
        kv = next(
            (run["kv_bytes_a_position"] for one in mine for run in one.answers if "kv_bytes_a_position" in run), None
        )
        for entry in mine:
            row = _measured(entry)
            row["kv_bytes"] = None if None in (kv, row["positions"]) else kv * row["positions"]
            if entry.method in found:
                row |= found[entry.method] | {"p_holm": adjusted.get(entry.method)}
                gain = detectable_gain(row["n"])
                row["detectable"] = None if gain is None else 100 * gain
            rows.append(row)
    return rows


def left_out_rows(row: dict, reasons: Mapping[str, str]) -> list[dict]:
    """A row for each method without numbers: those of ``row``'s cell, empty but for the reason."""
    cell = {"dataset": row["dataset"], "model": row["model"]}
    return [{**dict.fromkeys(row), **cell, "method": name, "reason": why} for name, why in reasons.items()]


def _difference(reference: Entry, entry: Entry) -> dict[str, Any]:
    """Points more than the reference, with interval and p, before correction."""
    sides = [[[row["correct"] for row in seed] for seed in one.graded] for one in (reference, entry)]
    if max(map(len, sides)) == 1:
        pair = Paired.of(sides[0][0], sides[1][0])
        low, high = pair.interval
        points, p, kind = pair.points, mcnemar(pair.only_before, pair.only_after)[0], "items of one seed"
    else:
        gains = [[after - before for before, after in zip(*both, strict=True)] for both in _by_seed(*sides)]
        of_seeds = crossed(gains)
        (low, high), points, p, kind = of_seeds.interval, of_seeds.mean, of_seeds.p, "mixed model"
    return {"delta": points, "delta_low": low, "delta_high": high, "delta_of": kind, "p": p}


def _by_seed(*sides: Sequence[Sequence[bool]]) -> Iterator[tuple[Sequence[bool], ...]]:
    """The answers of both sides seed by seed; a side with one seed stands beside each of the other's."""
    count = min(len(side) for side in sides if len(side) > 1)
    return zip(*(list(side) * count if len(side) == 1 else side[:count] for side in sides), strict=True)


def _accuracy_interval(entry: Entry) -> tuple[float, float]:
    """95 %: Wilson's of one seed, else the mixed model's over items and seeds, as fractions."""
    right = [[int(row["correct"]) for row in seed] for seed in entry.graded]
    if len(right) == 1:
        return wilson(sum(right[0]), len(right[0]))
    low, high = crossed(right).interval
    return max(0.0, low / 100), min(1.0, high / 100)


def _mean(parts: Sequence[dict], key: str, default: float | None = None) -> float | None:
    """Over the seeds; None where a seed does not say it."""
    values = [value for part in parts if (value := part.get(key, default)) is not None]
    if not values or len(values) < len(parts):
        return None
    mean = fsum(values) / len(values)
    return int(mean) if mean == int(mean) and all(isinstance(value, int) for value in values) else mean


def _measured(entry: Entry) -> dict:
    seeds, n = len(entry.graded), len(entry.graded[0])
    counts = [entry.correct(seed) for seed in range(seeds)]
    low, high = _accuracy_interval(entry)
    rows = [row for graded in entry.graded for row in graded]
    failures = Counter(row["failure"] for row in rows)
    fits, answers = _fits(entry), entry.answers or [{}]
    return {
        "dataset": entry.cell.dataset,
        "model": entry.cell.model,
        "method": entry.method,
        "family": entry.family or None,
        "needs": NEEDS[entry.family],
        "n": n,
        "correct": sum(counts),
        "accuracy": sum(counts) / len(rows),
        "accuracy_low": low,
        "accuracy_high": high,
        "seeds": seeds,
        "lowest_accuracy": min(counts) / n,
        "highest_accuracy": max(counts) / n,
        **{f"failure_{name}": failures[name] for name in FAILURES if name != "none"},
        "learning_rate": (fits[0].get("settings") or {}).get("learning_rate"),
        "rate_at_edge": entry.chosen.get("at_edge"),
        "rates_tried": len(entry.chosen["tried"]) if "tried" in entry.chosen else None,
        "control_equal": entry.check.get("equal"),
        "control_loss": entry.check.get("loss"),
        "control_vectors": entry.check.get("vectors"),
        "control_note": entry.check.get("note") or None,
        **{key: _mean(fits, key) for key in ("best_epoch", "trained_parameters", "stored_bytes")},
        "at_epoch_cap": _at_cap(fits),
        **{key: _mean(fits, key) for key in ("fit_seconds", "fit_cpu_seconds", "trained_tokens", "dev_seconds")},
        "fit_threads": max((fit["threads"] for fit in fits if "threads" in fit), default=None),
        "fit_device": (fits[0].get("model") or {}).get("device"),
        **{key: _mean(fits, key) for key in ("dev_tokens", "item_forwards", "generated_tokens")},
        "fit_peak_memory_bytes": _mean(fits, "peak_memory_bytes"),
        "memory_above_loading_bytes": _mean(fits, "memory_above_loading_bytes"),
        "positions": _mean(answers, "positions"),
        "calls": _mean(answers, "calls", 1),
        "readable_answers": sum(row["extracted"] is not None for row in rows) / len(rows),
        "tokens_an_answer": sum(row["n_tokens"] for row in rows) / len(rows),
        "reason": None,
    }


def _at_cap(fits: Sequence[dict]) -> bool | None:
    """Whether some seed was at its best on dev in the last epoch that it was allowed: more might have helped."""
    allowed = [fit.get("epochs_allowed", (fit.get("settings") or {}).get("epochs")) for fit in fits]
    known = [(fit.get("best_epoch"), last) for fit, last in zip(fits, allowed, strict=True) if last is not None]
    return any(best == last for best, last in known) if known else None


def _fits(entry: Entry) -> list[dict]:
    """What fitting took on each seed: its run file over what its history says; nothing where nothing is fitted."""
    nothing = dict.fromkeys(COSTS, 0)
    histories = entry.histories or [()] * len(entry.fits)
    found = [
        nothing | _of_history(history) | fit if fit else nothing
        for fit, history in zip(entry.fits, histories, strict=True)
    ]
    return found or [nothing]


def _of_history(history: Sequence[dict]) -> dict[str, float | None]:
    """The costs of a history; None where it does not say them."""

    def total(key: str) -> float | None:
        found = [line[key] for line in history if line.get(key) is not None]
        return round(fsum(found), 3) if found else None

    seconds, trained = total("seconds"), total("train_seconds")
    return {
        "fit_seconds": trained,
        "fit_cpu_seconds": total("train_cpu_seconds"),
        "trained_tokens": total("train_tokens"),
        "dev_seconds": None if seconds is None or trained is None else round(seconds - trained, 3),
    }
