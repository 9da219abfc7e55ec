"""What the paper says of other methods, held against a run's ``rivals.csv``: cell by cell, each verdict with what would refute it.

Every kind takes the rows of one cell by method, and the arguments of the line of ``config/claims.tsv``; it gives what was measured
and a verdict. Methods that the run has not are passed over; where it has none of them, nothing is said.
"""

from collections.abc import Callable, Sequence

from embedgrad.reporting.claims.measured import FAILS, HOLDS, OPEN
from embedgrad.reporting.results.compared import control, detectable, difference, is_apart, sign
from embedgrad.reporting.rivals.entries import EMBEDGRAD
from embedgrad.reporting.typeset import short_p

UNTOLD, TIMING = "cannot be told at this n", "cannot be told: times are too close"
APART = "cannot be told: APART, the null control differs"
UNSEARCHED = "cannot be told: EmbedGrad's rate was not searched"
CAPPED = " (at its best in the last epoch allowed)"
# Jobs beside a fit slow its caches and memory down, and change its CPU seconds by about as much; tokens are counted.
CLOSE = {"fit_cpu_seconds": 1.25}
UNITS = {
    "fit_cpu_seconds": "CPU s",
    "trained_tokens": "tokens trained on",
    "positions": "positions",
    "calls": "calls",
    "stored_bytes": "bytes",
    "trained_parameters": "parameters",
    "token_ratio": "times the text prompt's time a token",
}
Rows = dict[str, dict]
Found = tuple[str, str] | None


def _below(rows: Rows, *methods: str) -> Found:
    """All below EmbedGrad after Holm's correction?

    One above says nothing where EmbedGrad's own rate was not searched; one below says nothing where it was still getting better
    when its epochs were over.
    """
    found = [rows[method] for method in methods if method in rows]
    if not found:
        return None
    told = [_paired(row) + (CAPPED if row["at_epoch_cap"] else "") for row in found]
    own = rows[EMBEDGRAD]
    told.append(control(own))
    told.append(f"{detectable(found)} would be found with 80 % power before correction")
    signs = [sign(row) for row in found]
    if 1 in signs and own["control_equal"] is None:
        verdict = UNSEARCHED
    elif 1 in signs:
        verdict = FAILS
    else:
        verdict = HOLDS if set(signs) == {-1} else UNTOLD
        if verdict == HOLDS and any(row["at_epoch_cap"] for row in found):
            verdict = OPEN
    return "; ".join(told), verdict


def _more(rows: Rows, key: str, *methods: str) -> Found:
    """Does every one take more of something than EmbedGrad? ``fit`` is the time of fitting, by :func:`_clock`."""
    key = _clock(rows, methods) if key == "fit" else key
    own, found = rows[EMBEDGRAD].get(key), _having(rows, key, methods)
    if own is None or not found:
        return None
    factor = CLOSE.get(key, 1.0)
    if all(row[key] > factor * own for row in found):
        verdict = HOLDS
    elif any(row[key] < own / factor or (factor == 1 and row[key] == own) for row in found):
        verdict = FAILS
    else:
        verdict = TIMING
    return _amounts(key, [rows[EMBEDGRAD], *found]), verdict


def _alone(rows: Rows, key: str, *methods: str) -> Found:
    """Does EmbedGrad do without what they need?"""
    own, found = rows[EMBEDGRAD].get(key), _having(rows, key, methods)
    if own is None or not found:
        return None
    holds = own == 0 and all(row[key] > 0 for row in found)
    return _amounts(key, [rows[EMBEDGRAD], *found]), HOLDS if holds else FAILS


def _over(rows: Rows, key: str, bound: str, *methods: str) -> Found:
    """Is every one over a bound? With the difference in accuracy, which says whether it pays."""
    found = _having(rows, key, methods)
    if not found:
        return None
    told = [f"{_amounts(key, [row])}, {_paired(row).partition(' ')[2]}" for row in found]
    return "; ".join(told), HOLDS if all(row[key] > float(bound) for row in found) else FAILS


def _faster(rows: Rows, *methods: str) -> Found:
    """Does EmbedGrad reach its best epoch no later than every one of them, and in less time by :func:`_clock`?"""
    own, key = rows[EMBEDGRAD], _clock(rows, methods)
    factor = CLOSE.get(key, 1.0)
    found = [row for row in _having(rows, "best_epoch", methods) if row[key] is not None]
    if own["best_epoch"] is None or own[key] is None or not found:
        return None
    told = [
        f"{row['method']} best epoch {row['best_epoch']:.3g}, {row[key]:,.0f} {UNITS[key]}" for row in (own, *found)
    ]
    before = [row[key] > factor * own[key] and row["best_epoch"] >= own["best_epoch"] for row in found]
    after = [factor * row[key] < own[key] and row["best_epoch"] <= own["best_epoch"] for row in found]
    return "; ".join(told), HOLDS if all(before) else FAILS if any(after) else TIMING


def _clock(rows: Rows, methods: Sequence[str]) -> str:
    """What the time of fitting is judged by: CPU seconds where all ran on one thread of a CPU, else the tokens trained on.

    By the clock on the wall, equal epochs on a shared machine have differed elevenfold.
    """
    fitted = [rows[EMBEDGRAD], *(rows[method] for method in methods if method in rows)]
    alone = all(row["fit_threads"] == 1 and row["fit_device"] == "cpu" for row in fitted)
    return (
        "fit_cpu_seconds" if alone and all(row["fit_cpu_seconds"] is not None for row in fitted) else "trained_tokens"
    )


def _having(rows: Rows, key: str, methods: Sequence[str]) -> list[dict]:
    return [rows[method] for method in methods if method in rows and rows[method].get(key) is not None]


def _amounts(key: str, rows: Sequence[dict]) -> str:
    digits = ".2f" if key in ("calls", "token_ratio") else ",.0f"
    return "; ".join(f"{row['method']} {row[key]:{digits}} {UNITS[key]}" for row in rows)


def _paired(row: dict) -> str:
    return f"{row['method']} {difference(row)} points, p {short_p(row['p_holm'])}"


def _unless_apart(kind: Callable[..., Found]) -> Callable[..., Found]:
    """The same, but nothing can be told of EmbedGrad where the null control is not the run's own EmbedGrad."""

    def judged(rows: Rows, *arguments: str) -> Found:
        found = kind(rows, *arguments)
        if not found or not is_apart(rows[EMBEDGRAD]):
            return found
        told = control(rows[EMBEDGRAD])
        return found[0] if told in found[0] else f"{found[0]}; {told}", APART

    return judged


# kind → from the rows of a cell, and what would refute it.
RIVAL_KINDS: dict[str, tuple[Callable[..., Found], str]] = {
    "rivals_below": (
        _unless_apart(_below),
        "Points over EmbedGrad, item by item, p with Holm's correction. Holds if all are below; refuted by one that is above; "
        "open where one below was at its best in its last epoch.",
    ),
    "rivals_more": (
        _unless_apart(_more),
        "Holds if each takes more than EmbedGrad; refuted by one that takes no more.",
    ),
    "rivals_alone": (_unless_apart(_alone), "Holds if EmbedGrad has none of it; refuted where it has some, too."),
    "rivals_over": (_over, "Holds if each is over the bound; refuted by one that is not. Points are over EmbedGrad."),
    "rivals_faster": (
        _unless_apart(_faster),
        "Holds if EmbedGrad's best epoch is no later and its fit shorter than each one's; refuted by one no later and shorter.",
    ),
}
