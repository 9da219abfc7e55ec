"""Whether an optimised prompt exceeds what others got from the untouched weights without examples: a row for each such cell."""

from collections.abc import Sequence
from decimal import Decimal

from embedgrad.reporting.claims.check import Checked
from embedgrad.reporting.claims.measured import OPEN, Measured
from embedgrad.reporting.printed.audit import blocks
from embedgrad.reporting.printed.references import Reference, References, difference, spread, zero_shot
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.collected import Outcome

_QUOTATION = "The method delivers substantial accuracy improvements"


def check_references(references: References, paper: Sequence[Cell], outcomes: Sequence[Outcome]) -> list[Checked]:
    """Hold the printed "after" and a run's against the best zero-shot reference of each cell that has one.

    Args:
        references: what others measured.
        paper: the paper's table.
        outcomes: a run's cells.
    """
    counts = {
        (cell.dataset, cell.model): (block.counts(cell)[1], block.n)
        for block in blocks(paper)
        if block.n is not None
        for cell in block.cells
    }
    printed = {(cell.dataset, cell.model): cell.paper["after"] for cell in paper if cell.paper}
    ran = {(o.cell.dataset, o.cell.model): o.metrics[0] for o in outcomes if o.metrics}
    checked = []
    for key in dict.fromkeys([*printed, *ran]):
        found = zero_shot(references.get(key, ()))
        if not found:
            continue
        best, metrics = found[0], ran.get(key)
        stated = _measured(float(printed[key]), counts.get(key), best) if key in printed else None
        mine = metrics and _measured(
            100 * metrics["after"]["accuracy"], (metrics["after"]["correct"], metrics["n"]), best
        )
        before = f"{100 * metrics['before']['accuracy']:.2f}" if metrics else ""
        checked.append(_row(key, best, found, printed.get(key, ""), stated, mine or None, before))
    return checked


def _measured(percent: float, count: tuple[int, int] | None, best: Reference) -> Measured:
    """An accuracy whose interval is that of its difference to the reference, put onto the reference."""
    away = difference(*count, best) if count else None
    at = float(best.percent)
    gate = "" if away else "how many items were measured is unknown on one side"
    return Measured(percent, (at + away[0], at + away[1]) if away else None, gate=gate)


def _row(
    key: tuple[str, str],
    best: Reference,
    found: Sequence[Reference],
    printed: str,
    stated: Measured | None,
    mine: Measured | None,
    before: str,
) -> Checked:
    at = float(best.percent)
    low, high = (mine and mine.interval) or ("", "")
    note = (
        f"The best that others got from the untouched weights without examples: {best.percent} ({best.protocol}; {best.source}). "
        f"All of them: {spread(found)}. Verdicts are of two samples; the interval is the difference's, put onto {best.percent}."
    )
    if (stated and stated.gate) or (mine and mine.gate):
        note += " Not testable: how many items were measured is unknown on one side."
    return Checked(
        id=f"over-untouched {'/'.join(key)}",
        section="4.2",
        quotation=_QUOTATION,
        printed=f"> {best.percent}",
        from_table=str(Decimal(printed)) if printed else "",
        table_verdict=stated.verdict(">", at, 0.01) if stated else OPEN,
        from_run=f"{mine.value:.2f}" if mine else "",
        run_low=f"{low:.2f}" if low != "" else "",
        run_high=f"{high:.2f}" if high != "" else "",
        run_verdict=mine.verdict(">", at, 0.01) if mine else OPEN,
        untouched=before,
        untouched_verdict=OPEN,
        control="",
        note=note,
    )
