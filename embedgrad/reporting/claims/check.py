"""Every number of the paper's Sections 4 and 5, recomputed: from the paper's own table, and from a run's cells.

``config/claims.tsv`` holds the claims; ``kind`` names one of the computations below, nothing is evaluated as code.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from pathlib import Path

from embedgrad.reporting.claims.measured import OPEN, Measured, Run, judge
from embedgrad.reporting.claims.rivals import RIVAL_KINDS
from embedgrad.reporting.claims.values import KINDS
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.collected import Outcome
from embedgrad.reporting.results.compared import read_compared
from embedgrad.reporting.tables import read_tsv, write_table
from embedgrad_core.files import UserError, markdown_escape, write_whole

COLUMNS = ("id", "section", "quotation", "kind", "arguments", "relation", "printed")


@dataclass(frozen=True)
class Claim:
    """A line of ``config/claims.tsv``; ``relation`` is ``=``, ``>`` or ``<``, ``arguments`` are words."""

    id: str
    section: str
    quotation: str
    kind: str
    arguments: str
    relation: str
    printed: str


@dataclass(frozen=True)
class Checked:
    """A claim with what the table and the run say to it; empty values where they say nothing.

    ``run_low`` and ``run_high`` are the ends of a 95 % interval; ``untouched`` is the same number of the untouched text prompt, and
    its verdict: what is true of that needs no optimisation.
    """

    id: str
    section: str
    quotation: str
    printed: str
    from_table: str
    table_verdict: str
    from_run: str
    run_low: str
    run_high: str
    run_verdict: str
    untouched: str
    untouched_verdict: str
    control: str
    note: str


def read_claims(path: str | Path) -> list[Claim]:
    """Read the claims.

    Raises:
        UserError: missing, other columns, a line of more or fewer fields, an unknown kind or relation; names file and line.
    """
    claims = []
    for number, row in read_tsv(path, COLUMNS, "config/claims.tsv"):
        if row["kind"] not in {**KINDS, **RIVAL_KINDS} or row["relation"] not in ("=", ">", "<"):
            raise UserError(f"{path}:{number}: kind {row['kind']!r} or relation {row['relation']!r} is unknown.")
        claims.append(Claim(**row))
    return claims


def check_claims(
    claims: Sequence[Claim], paper: Sequence[Cell], outcomes: Sequence[Outcome], folder: str | Path
) -> list[Checked]:
    """Recompute every claim but those of other methods.

    Args:
        claims: the lines of the table.
        paper: the paper's table.
        outcomes: a run's cells, of the paper's table or another one.
        folder: ``results/<run>``.
    """
    run = Run(
        {(o.cell.dataset, o.cell.model): o.metrics[0] for o in outcomes if o.metrics},
        {(o.cell.dataset, o.cell.model): o.gain for o in outcomes if o.gain},
        outcomes,
        Path(folder),
    )
    table = {(cell.dataset, cell.model): cell for cell in paper}
    checked = []
    for claim in claims:
        if claim.kind in RIVAL_KINDS:
            continue
        by_table, by_run, note = KINDS[claim.kind]
        arguments = claim.arguments.split()
        stated = by_table(table, *arguments) if by_table else None
        measured = by_run(run, *arguments) if by_run else None
        checked.append(_checked(claim, stated, measured, note))
    return checked


def check_rival_claims(claims: Sequence[Claim], folder: str | Path) -> list[Checked]:
    """The claims of other methods, held against every cell of the run's ``rivals.csv``; none where the run has no rivals.

    Raises:
        UserError: a table that was changed since it was written, or is none of rivals.
    """
    cells = read_compared(folder)
    checked = []
    for claim in claims:
        if claim.kind not in RIVAL_KINDS:
            continue
        by_rows, note = RIVAL_KINDS[claim.kind]
        for rows in cells:
            name = f"{claim.id} {rows[0]['dataset']}/{rows[0]['model']}"
            found = by_rows({row["method"]: row for row in rows if not row.get("reason")}, *claim.arguments.split())
            measured, verdict = found or ("", OPEN)
            printed = (claim.section, claim.quotation, claim.printed, "", OPEN)
            checked.append(Checked(name, *printed, measured, "", "", verdict, "", OPEN, "", note))
    return checked


def _checked(claim: Claim, stated: float | Decimal | None, measured: Measured | None, note: str) -> Checked:
    """Numbers as text and words on them."""
    unit = 10.0 ** -len(claim.printed.partition(".")[2])

    def word(value: float | Decimal | None) -> str:
        return OPEN if value is None else judge(claim.relation, float(value), float(claim.printed), unit)

    low, high = (measured and measured.interval) or (None, None)
    untouched = measured.untouched if measured else None
    return Checked(
        claim.id,
        claim.section,
        claim.quotation,
        f"{'' if claim.relation == '=' else claim.relation + ' '}{claim.printed}",
        _number(stated, claim.printed),
        word(stated),
        _number(measured.value if measured else None, claim.printed),
        _number(low, claim.printed),
        _number(high, claim.printed),
        measured.verdict(claim.relation, float(claim.printed), unit) if measured else OPEN,
        _number(untouched, claim.printed),
        word(untouched),
        measured.control if measured else "",
        f"{note} Not testable: {measured.gate}.".strip() if measured and measured.gate else note,
    )


def _number(value: float | Decimal | None, printed: str) -> str:
    if value is None:
        return ""
    digits = max(len(printed.partition(".")[2]), 2)
    half = 0.5 * 10.0**-digits
    if value and -half < value < half:
        return f"{value:.2g}"
    return f"{value:.{digits}f}"


def write_claims(checked: Sequence[Checked], csv_path: str | Path, markdown_path: str | Path) -> None:
    """Write as CSV and as Markdown."""
    names = [field.name for field in fields(Checked)]
    write_table(map(asdict, checked), names, csv_path)
    title = "# The paper's claims, recomputed"
    lines = [title, "", f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    lines += [f"| {' | '.join(markdown_escape(str(value)) for value in asdict(one).values())} |" for one in checked]
    with write_whole(markdown_path) as temporary:
        Path(temporary).write_text("\n".join(lines) + "\n", encoding="utf-8")
