"""The first rule for the verdict on a cell, of 2026-11-23; it stands beside today's (``rule.py``) and decides nothing any more.

It takes the printed numbers as exact. But they too were measured on few items: of two faithful samples of one truth it calls
fewer than half replicated (``benchmarks/simulations/verdict_simulation.py``).

The paper claims that a cell went from *before* to *after*; both are printed, and their difference is the printed
gain (the printed Δ column is not used: some of its entries contradict their own row). Ours are n paired items. All
intervals are 95 %, all tests two-sided at .05, without correction for the number of cells (the table shows Holm's).

* **replicated**: our gain is significant by the exact McNemar test and in the printed direction, the printed before
  and the printed after lie inside our two Wilson intervals, and the printed gain inside our Newcombe interval.
* **partly**: our gain is significant and in the printed direction, but at least one printed number lies outside its
  interval. Or: our gain is not significant although n items would have sufficed, but it is nearer to the printed
  gain than to none, and all three printed numbers lie inside.
* **not**: our change is significant in the other direction, or the printed gain lies beyond the end of our Newcombe
  interval, or n would have sufficed and neither case of "partly" holds.
* **not testable at this n**: none of the above, and n items could hardly show a gain of the printed size: even in
  the pairing that favours it most, where no item changes for the worse, the exact McNemar test would reach p < .05
  in fewer than 80 % of repeats. (With fewer than 6 items gained it never can: 2 · 0.5⁵ = .0625.)

No verdict is given where the paper prints nothing. The rule is strict: the printed numbers are taken as exact,
although they too were measured on few items, so a faithful repetition will sometimes be called "partly"; the reason
names the number that missed. It does not excuse: "not testable" is never the verdict on a change that contradicts the
printed gain.
"""

from embedgrad.reporting.statistics import (
    ALPHA,
    POWER,
    Paired,
    best_case_power,
    mcnemar,
    smallest_significant_gain,
    wilson,
)

DATE = "2026-11-23"
REPLICATED, PARTLY, NOT, NOT_TESTABLE = "replicated", "partly", "not", "not testable at this n"
WORDS = (REPLICATED, PARTLY, NOT, NOT_TESTABLE)
# Printed percentages are rounded; a bound that rounds to the same two decimals is not a contradiction.
_ROUNDING = 0.005
_GAIN_ROUNDING = 0.01


def verdict(pairs: Paired, paper: dict[str, str] | None) -> dict[str, str | None]:
    """Judge one cell by the rule above.

    Args:
        pairs: our items before and after.
        paper: printed ``before`` and ``after`` as text in percent, or None.

    Returns:
        ``{"word": one of WORDS or None, "reason": a sentence}``.
    """
    if paper is None:
        return {"word": None, "reason": "The paper prints nothing for this cell."}
    before, after = float(paper["before"]), float(paper["after"])
    printed, ours = after - before, pairs.interval
    same_direction = pairs.points * printed > 0
    p_exact, _ = mcnemar(pairs.only_before, pairs.only_after)
    significant = p_exact < ALPHA
    outside = [
        f"the printed {name} of {value:.2f} is outside {low:.1f} to {high:.1f}"
        for name, value, (low, high), slack in (
            ("before", before, _percent(pairs.both + pairs.only_before, pairs.n), _ROUNDING),
            ("after", after, _percent(pairs.both + pairs.only_after, pairs.n), _ROUNDING),
            ("gain", printed, ours, _GAIN_ROUNDING),
        )
        if not low - slack <= value <= high + slack
    ]
    p = f"exact p {p_exact:.2g}"
    if significant and same_direction:
        if not outside:
            return _verdict(REPLICATED, f"A significant gain ({p}), and all three printed numbers are in our intervals")
        return _verdict(PARTLY, f"A significant gain ({p}), but {_join(outside)}")
    if significant:
        return _verdict(NOT, f"A significant change against the printed direction ({p})")
    low, high = ours
    beyond = high + _GAIN_ROUNDING < printed if printed >= 0 else low - _GAIN_ROUNDING > printed
    if beyond:
        return _verdict(NOT, f"No significant gain ({p}), and the printed gain of {printed:.2f} is beyond our interval")
    power = best_case_power(pairs.n, printed / 100)
    if power < POWER:
        items = abs(printed) / 100 * pairs.n
        never = ", which no pairing brings below p = .05" if round(items) < smallest_significant_gain() else ""
        return _verdict(
            NOT_TESTABLE,
            f"The printed gain is {items:.1f} of {pairs.n} items{never}; at best the test would see a true gain of "
            f"that size in {power:.0%} of repeats",
        )
    gain = pairs.points
    if abs(gain - printed) < abs(gain) and not outside:
        return _verdict(PARTLY, f"The printed numbers are in our intervals, but the gain is not significant ({p})")
    reason = _join(outside) if outside else f"our change of {gain:+.2f} is nearer to none than to the printed gain"
    return _verdict(NOT, f"No significant gain ({p}), and {reason}")


def _percent(correct: int, n: int) -> tuple[float, float]:
    low, high = wilson(correct, n)
    return 100 * low, 100 * high


def _verdict(word: str, reason: str) -> dict[str, str | None]:
    return {"word": word, "reason": f"{reason}."}


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
