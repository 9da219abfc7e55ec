"""The verdict on a cell. This rule is of 2026-11-27, before any cell of the paper's table had been run; nothing in it is tuned.

The paper claims that a cell went from *before* to *after*; both are printed, and their difference is the printed gain (the
printed Δ column is not used: some of its entries contradict their own row). The paper's numbers and ours are two samples of
one truth, or of two. All tests are two-sided at .05 if nothing else is said, without correction for the number of cells (the
table shows Holm's).

* **replicated**: our gain is significant by the exact McNemar test and in the printed direction, and neither before, after
  nor the gain differs from the printed one by more than two samples of these sizes would: 0 lies in the three intervals of
  ours - printed, each at 1 - .05/3, which hold together in at least 95 % of faithful repeats.
* **partly**: our gain is significant and in the printed direction, but 0 lies outside one of those intervals.
* **not**: our change is significant in the other direction. Or it is not significant, and it is smaller than what the
  paper's own test could have seen (the one-sided 95 % bound of our gain lies below d33, the gain that the paper's number of
  items finds in a third of repeats; Simonsohn's small telescopes), and smaller than the printed gain (likewise, in the
  difference of the two).
* **inconclusive**: none of the above: n items say neither. The reason has the power that n items had for the printed gain.

Beside the word stands what is known of the **size**: "same" if the 90 % interval of our gain - the printed gain lies within
half of the printed gain on either side (two one-sided tests at .05; Schuirmann 1987), "smaller" or "larger" if the 95 %
interval excludes 0, else "open". A cell may be replicated while its size is open: that is what few items are worth.

How often each word comes under stated truths is simulated: ``benchmarks/simulations/verdict_simulation.py``, docs/protocol.md.
"""

from typing import Any

from embedgrad.reporting.statistics import ALPHA, Paired, best_case_power, mcnemar
from embedgrad.reporting.verdicts import first_rule
from embedgrad.reporting.verdicts.two_studies import Printed, difference_of_gains, difference_of_proportions, telescope

DATE = "2026-11-27"
REPLICATED, PARTLY, NOT, INCONCLUSIVE = "replicated", "partly", "not", "inconclusive"
WORDS = (REPLICATED, PARTLY, NOT, INCONCLUSIVE)
SAME, SMALLER, LARGER, OPEN = "same", "smaller", "larger", "open"
# Three comparisons that shall hold together.
_EACH = ALPHA / 3
# Of the printed gain: a difference below it leaves more than half of the gain and less than one and a half.
_MARGIN = 0.5
# A printed percentage is rounded to whole items, a gain twice: a bound nearer to 0 than this is 0.
_ROUNDING = 1e-9


def verdict(pairs: Paired, paper: dict[str, str] | None, printed_n: int | None = None) -> dict[str, Any]:
    """Judge one cell by the rule above.

    Args:
        pairs: our items before and after.
        paper: printed ``before`` and ``after`` as text in percent, or None.
        printed_n: how many items the paper's percentages were measured on; None takes our number.

    Returns:
        ``word`` (one of WORDS, None where nothing is printed), ``reason`` (a sentence), ``rule`` (its date); where something
        is printed also ``size``, ``difference`` (of the gains: points, 95 % interval), ``d33`` in points, ``printed_n``,
        and ``first_rule``: the word and reason of the rule of 2026-11-23.
    """
    if paper is None:
        return {"word": None, "reason": "The paper prints nothing for this cell.", "rule": DATE}
    printed = Printed.of(paper, printed_n or pairs.n)
    theirs = printed.pairs(pairs.phi)
    seen = telescope(printed.n, pairs.only_before + pairs.only_after, pairs.n)
    word, reason = _judge(pairs, printed, theirs, seen)
    return {
        "word": word,
        "reason": reason,
        "rule": DATE,
        "size": _size(pairs, printed, theirs),
        "difference": {
            "points": pairs.points - theirs.points,
            "interval": list(difference_of_gains(pairs, theirs, ALPHA)),
        },
        "d33": seen,
        "printed_n": {"n": printed.n, "assumed": printed_n is None},
        "first_rule": {"date": first_rule.DATE} | first_rule.verdict(pairs, paper),
    }


def _judge(pairs: Paired, printed: Printed, theirs: Paired, seen: float) -> tuple[str, str]:
    """Word and reason; ``theirs`` is the printed cell as pairs, ``seen`` is d33."""
    p_exact, _ = mcnemar(pairs.only_before, pairs.only_after)
    p = f"exact p {p_exact:.2g}"
    if p_exact < ALPHA:
        if pairs.points * printed.points <= 0:
            return NOT, f"A significant change against the printed direction ({p})."
        apart = _apart(pairs, printed, theirs)
        if apart:
            return PARTLY, f"A significant gain ({p}), but {' and '.join(apart)}, more than two samples would differ."
        return REPLICATED, f"A significant gain ({p}), and no printed number differs by more than two samples would."
    # Read in the printed direction; a one-sided bound at .05 is the end of a 90 % interval.
    up = printed.points >= 0
    sign = 1 if up else -1
    bound = sign * pairs.interval_at(2 * ALPHA)[1 if up else 0]
    apart_bound = sign * difference_of_gains(pairs, theirs, 2 * ALPHA)[1 if up else 0]
    if bound < seen and apart_bound < -_ROUNDING:
        return NOT, (
            f"No significant gain ({p}); it is at most {bound:.1f} points, below both the printed {sign * printed.points:.2f} "
            f"and the {seen:.1f} that the paper's {printed.n} items would find in a third of repeats."
        )
    power = best_case_power(pairs.n, printed.points / 100)
    return INCONCLUSIVE, (
        f"No significant gain ({p}), and a gain of up to {bound:.1f} points is not excluded; at best {pairs.n} items find a "
        f"true gain of the printed size in {power:.0%} of repeats."
    )


def _apart(pairs: Paired, printed: Printed, theirs: Paired) -> list[str]:
    """The printed numbers that differ from ours by more than two samples would, each with the interval of ours - printed."""
    before, after = printed.counts()
    intervals = {
        "before": difference_of_proportions((pairs.both + pairs.only_before, pairs.n), (before, printed.n), _EACH),
        "after": difference_of_proportions((pairs.both + pairs.only_after, pairs.n), (after, printed.n), _EACH),
        "gain": difference_of_gains(pairs, theirs, _EACH),
    }
    values = {"before": printed.before, "after": printed.after, "gain": f"{printed.points:.2f}"}
    return [
        f"ours differs from the printed {name} of {values[name]} by {low:+.1f} to {high:+.1f} points"
        for name, (low, high) in intervals.items()
        if low > _ROUNDING or high < -_ROUNDING
    ]


def _size(pairs: Paired, printed: Printed, theirs: Paired) -> str:
    """What is known of our gain against the printed one, both read in the printed direction."""
    low, high = difference_of_gains(pairs, theirs, 2 * ALPHA)
    margin = _MARGIN * abs(printed.points)
    if -margin < low and high < margin:
        return SAME
    low, high = difference_of_gains(pairs, theirs, ALPHA)
    if low <= _ROUNDING and high >= -_ROUNDING:
        return OPEN
    return LARGER if (low > 0) == (printed.points >= 0) else SMALLER
