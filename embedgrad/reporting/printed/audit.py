"""What the published numbers can and cannot mean, from the table of cells alone.

A percentage with two decimals is a count of right answers over a test size, so only some sizes can have produced it
(the GRIM test; Brown and Heathers 2017, Soc. Psychol. Personal. Sci. 8:363-369). From the sizes follow the counts,
and from the counts what adds up, and which gains n items could show at all.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from itertools import groupby
from pathlib import Path

from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.statistics import ALPHA, DISCORDANCE, best_case_power, detectable_gain, mcnemar
from embedgrad.reporting.tables import write_table
from embedgrad_core.files import markdown_escape, write_whole

HALF_UP, TRUNCATION = "half-up", "truncation"
LIMIT = 5000


@dataclass(frozen=True)
class Finding:
    """One line of the audit: what was looked at, where, whether it holds, the number, and a sentence."""

    check: str
    where: str
    holds: bool
    value: str
    sentence: str


@dataclass(frozen=True)
class Block:
    """All cells of one dataset with the smallest test size that explains their percentages, or None.

    ``sizes`` are all fitting sizes up to ``LIMIT`` under ``rounding``.
    """

    dataset: str
    cells: tuple[Cell, ...]
    rounding: str | None
    sizes: tuple[int, ...]

    @property
    def n(self) -> int | None:
        """The smallest fitting size."""
        return self.sizes[0] if self.sizes else None

    def counts(self, cell: Cell) -> tuple[int, int]:
        """Right answers before and after at the smallest fitting size.

        Raises:
            ValueError: no size fits, or the cell is not of this block.
        """
        paper, n, rounding = cell.paper, self.n, self.rounding
        if paper and n is not None and rounding:
            before, after = count_of(paper["before"], n, rounding), count_of(paper["after"], n, rounding)
            if before is not None and after is not None:
                return before, after
        raise ValueError(f"{cell.name} has no counts in {self.dataset}")


def count_of(percent: str, n: int, rounding: str = HALF_UP) -> int | None:
    """The count k for which k of n prints as ``percent`` under a rounding rule, or None; the largest if several."""
    decimals = len(percent.partition(".")[2])
    scale = 100 * 10**decimals
    printed = int(Decimal(percent).scaleb(decimals))
    # Half-up: printed = floor(scale k / n + 1/2). Truncation: printed = floor(scale k / n). All in whole numbers.
    half = n if rounding == HALF_UP else 0
    largest = min((2 * n * (printed + 1) - half - 1) // (2 * scale), n)
    return largest if largest >= 0 and (2 * scale * largest + half) // (2 * n) == printed else None


def fitting_sizes(percents: Sequence[str], rounding: str = HALF_UP, limit: int = LIMIT) -> list[int]:
    """Every test size up to ``limit`` that could have printed all of these percentages."""
    return [n for n in range(1, limit + 1) if all(count_of(percent, n, rounding) is not None for percent in percents)]


def blocks(cells: Sequence[Cell]) -> list[Block]:
    """The cells that print something, by dataset, each with its sizes; half-up is tried before truncation."""
    found = []
    for dataset, members in groupby((cell for cell in cells if cell.paper), key=lambda cell: cell.dataset):
        group = tuple(members)
        percents = [percent for cell in group for percent in _percents(cell)]
        by_rule = {rule: fitting_sizes(percents, rule) for rule in (HALF_UP, TRUNCATION)}
        rounding = min((rule for rule in by_rule if by_rule[rule]), key=lambda rule: by_rule[rule][0], default=None)
        found.append(Block(dataset, group, rounding, tuple(by_rule[rounding]) if rounding else ()))
    return found


def printed_sizes(cells: Sequence[Cell]) -> dict[str, int | None]:
    """The smallest test size that fits all percentages of a data set, by ``Cell.dataset``; None where none fits.

    Data sets for which nothing is printed are left out.
    """
    return {block.dataset: block.n for block in blocks(cells)}


def _percents(cell: Cell) -> list[str]:
    """What the paper prints before and after; nothing where it prints nothing."""
    return [cell.paper["before"], cell.paper["after"]] if cell.paper else []


def audit(cells: Sequence[Cell]) -> list[Finding]:
    """All findings, in the order of the table."""
    groups = blocks(cells)
    return [*_sizes(groups), *_deltas(cells), *_level_sums(groups), *_significance(groups)]


def _sizes(groups: Sequence[Block]) -> list[Finding]:
    findings = []
    for block in groups:
        if block.n is None:
            alone = {cell.model: fitting_sizes(_percents(cell))[:1] for cell in block.cells}
            each = ", ".join(f"{model} {sizes[0] if sizes else 'none'}" for model, sizes in alone.items())
            sentence = (
                f"No single test size up to {LIMIT} explains the percentages, rounded or truncated; the smallest for "
                f"each model alone, rounded: {each}."
            )
            findings.append(Finding("test size", block.dataset, False, "", sentence))
            continue
        counts = ", ".join(f"{cell.model} {one}→{two}" for cell in block.cells for one, two in [block.counts(cell)])
        fit = f"{block.n} is the smallest of {len(block.sizes)} test sizes up to {LIMIT} that fit ({block.rounding})"
        findings.append(Finding("test size", block.dataset, True, str(block.n), f"{fit}: {counts}."))
    return findings


def _deltas(cells: Sequence[Cell]) -> list[Finding]:
    findings = []
    for cell in cells:
        paper = cell.paper
        if not paper:
            continue
        true, printed = Decimal(paper["after"]) - Decimal(paper["before"]), Decimal(paper["delta"])
        holds = true == printed
        sentence = f"After - before is {true:+}" + (", as printed." if holds else f", but {paper['delta']} is printed.")
        findings.append(Finding("delta", cell.name, holds, f"{true:+}", sentence))
    return findings


def _level_sums(groups: Sequence[Block]) -> list[Finding]:
    """The levels of a task, added up, against its row for all levels."""
    findings = []
    for whole in groups:
        task = whole.cells[0].task
        parts = [block for block in groups if block.cells[0].task == task and block.cells[0].level]
        sizes = [block.n for block in parts if block.n is not None]
        if whole.cells[0].level or not parts or whole.n is None or len(sizes) < len(parts):
            continue
        total = sum(sizes)
        sentence = f"The levels hold {total} test items, the row for all {whole.n}."
        findings.append(Finding("level sum", f"{task}/items", total == whole.n, str(total), sentence))
        for cell in whole.cells:
            levels = [(block, one) for block in parts for one in block.cells if one.model == cell.model]
            if len(levels) != len(parts):
                continue
            for place, side in enumerate(("before", "after")):
                added = sum(block.counts(one)[place] for block, one in levels)
                stated = whole.counts(cell)[place]
                sentence = (
                    f"{side.capitalize()}, the levels add up to {added} right answers, the row for all has {stated}."
                )
                findings.append(Finding("level sum", f"{cell.name}/{side}", added == stated, str(added), sentence))
    return findings


def _significance(groups: Sequence[Block]) -> list[Finding]:
    """Whether the printed gain could be significant at all, and what gain the size could find."""
    findings = []
    for block in groups:
        if block.n is None:
            continue
        gain = detectable_gain(block.n)
        points = f"{100 * gain:.1f}" if gain is not None else f"more than {100 * DISCORDANCE:.0f}"
        sentence = (
            f"{block.n} items find a gain of {points} points with 80 % power if {DISCORDANCE:.0%} of pairs differ."
        )
        findings.append(Finding("detectable gain", block.dataset, gain is not None, points, sentence))
        for cell in block.cells:
            before, after = block.counts(cell)
            p, power = mcnemar(0, abs(after - before))[0], best_case_power(block.n, (after - before) / block.n)
            sentence = (
                f"{after - before:+} of {block.n} items: at best (no item lost) p = {p:.2g}, and a repeat would find "
                f"such a gain with probability {power:.2f}."
            )
            findings.append(Finding("can be significant", cell.name, p < ALPHA, f"{p:.6g}", sentence))
    return findings


def write_audit(findings: Sequence[Finding], csv_path: str | Path, markdown_path: str | Path) -> None:
    """Write the findings as CSV and as Markdown, each whole or not at all."""
    write_table(map(asdict, findings), [field.name for field in fields(Finding)], csv_path)
    lines = ["# Audit of the published numbers", ""]
    for check, members in groupby(findings, key=lambda finding: finding.check):
        lines += [f"## {check.capitalize()}", ""]
        for finding in members:
            mark = "" if finding.holds else "**!** "
            lines.append(f"- {mark}{finding.where}: {markdown_escape(finding.sentence)}")
        lines.append("")
    with write_whole(markdown_path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
