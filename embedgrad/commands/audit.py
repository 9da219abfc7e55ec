"""What the paper's printed numbers can mean, and every claim of its Sections 4 and 5 recomputed.

embedgrad audit --paper-table config/cells.tsv --claims config/claims.tsv --out-folder results/paper
"""

import argparse
from pathlib import Path

from embedgrad.commands.output import plain_line
from embedgrad.commands.table2 import seeds_from

HELP = "audit of the published numbers and claims"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The paper's table and claims, and optionally a run to hold against them."""
    parser.add_argument("--paper-table", required=True, type=Path, help="config/cells.tsv")
    parser.add_argument("--claims", required=True, type=Path, help="config/claims.tsv")
    parser.add_argument(
        "--references", type=Path, help="config/references.tsv: what others measured on untouched weights"
    )
    parser.add_argument(
        "--chance", type=Path, help="config/chance.tsv: labels of the data sets, the commonest one's share"
    )
    parser.add_argument("--cell-table", type=Path, help="a run's table of cells")
    parser.add_argument("--results", type=Path, help="results/<run>")
    parser.add_argument("--seeds", help="seeds of the run, as in 0,1,2 or 0,1,2;math500=0")
    parser.add_argument("--out-folder", required=True, type=Path, help="for audit.csv|md and claims.csv|md")


def run(arguments: argparse.Namespace) -> None:
    """Recompute and write."""
    from embedgrad.reporting.claims import (
        FAILS,
        HOLDS,
        NOT_TESTABLE,
        OPEN,
        check_claims,
        check_rival_claims,
        read_claims,
        write_claims,
    )
    from embedgrad.reporting.claims.references import check_references
    from embedgrad.reporting.printed.audit import audit, write_audit
    from embedgrad.reporting.printed.chance import chance_findings, read_labels
    from embedgrad.reporting.printed.references import read_references
    from embedgrad.reporting.results.cells import read_cells
    from embedgrad.reporting.results.collected import collect

    paper, claims = read_cells(arguments.paper_table), read_claims(arguments.claims)
    outcomes = []
    if arguments.results:
        cells = read_cells(arguments.cell_table or arguments.paper_table)
        outcomes = collect(cells, arguments.results, seeds_from(arguments))
    folder = arguments.out_folder
    references = read_references(arguments.references) if arguments.references else {}
    findings = audit(paper)
    if arguments.chance:
        findings += chance_findings(paper, read_labels(arguments.chance))
    write_audit(findings, folder / "audit.csv", folder / "audit.md")
    checked = check_claims(claims, paper, outcomes, arguments.results or folder)
    others = check_rival_claims(claims, arguments.results) if arguments.results else []
    untouched = check_references(references, paper, outcomes)
    write_claims([*checked, *untouched, *others], folder / "claims.csv", folder / "claims.md")
    words = [
        f"audit: {sum(not finding.holds for finding in findings)} of {len(findings)} findings do not hold",
        f"claims: {sum(one.table_verdict == FAILS for one in checked)} of {len(checked)} contradict the paper's own table",
    ]
    if untouched:
        judged = [one for one in untouched if one.table_verdict not in (OPEN, NOT_TESTABLE)]
        above = sum(one.table_verdict == HOLDS for one in judged)
        words.append(
            f"the printed after exceeds the best of untouched weights in {above} of {len(judged)} cells that others measured"
        )
    if others:
        words.append(f"{sum(one.run_verdict == FAILS for one in others)} of {len(others)} of other methods do not hold")
    plain_line("; ".join(words))
