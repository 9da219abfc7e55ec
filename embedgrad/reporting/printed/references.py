"""What others measured on the untouched models of the paper's table: ``config/references.tsv``, each number read at its source.

A prompt is worth its gain over what the same weights do without it. So each cell's accuracy after optimisation stands beside
the best number that someone got from the untouched weights without examples.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedgrad.reporting.statistics import ALPHA
from embedgrad.reporting.tables import read_tsv
from embedgrad.reporting.verdicts.two_studies import difference_of_proportions
from embedgrad_core.files import UserError

COLUMNS = ("model", "dataset", "percent", "n", "shots", "decoding", "protocol", "source", "quoted")
DECODINGS = ("greedy", "sampled", "likelihood", "unstated")


@dataclass(frozen=True)
class Reference:
    """One published accuracy of an untouched model.

    Attributes:
        model, dataset: as in the table of cells.
        percent: as printed.
        n: items; None where the source does not say.
        shots: worked examples in the prompt.
        decoding: one of ``DECODINGS``.
        protocol: template, limit, metric, in words.
        source: where it stands.
    """

    model: str
    dataset: str
    percent: str
    n: int | None
    shots: int
    decoding: str
    protocol: str
    source: str

    @property
    def count(self) -> tuple[int, int] | None:
        """Right answers and items, to the nearest item; of a mean over samples, what one sample would have."""
        return None if self.n is None else (round(float(self.percent) / 100 * self.n), self.n)


References = dict[tuple[str, str], list[Reference]]


def read_references(path: str | Path) -> References:
    """(dataset, model) → the references, highest first.

    Raises:
        UserError: missing, other columns, or a value of the wrong kind; names file and line.
    """
    found: References = defaultdict(list)
    for number, row in read_tsv(path, COLUMNS, "config/references.tsv"):
        try:
            percent, n, shots = float(row["percent"]), int(row["n"]) if row["n"] else None, int(row["shots"])
        except ValueError:
            raise UserError(f"{path}:{number}: percent, n and shots must be numbers (n may be empty).") from None
        if not 0 <= percent <= 100 or (n is not None and n < 1) or shots < 0 or row["decoding"] not in DECODINGS:
            raise UserError(
                f"{path}:{number}: percent must be 0 to 100, n at least 1, shots at least 0, decoding one of "
                f"{', '.join(DECODINGS)}."
            )
        one = Reference(
            row["model"], row["dataset"], row["percent"], n, shots, row["decoding"], row["protocol"], row["source"]
        )
        found[one.dataset, one.model].append(one)
    return {key: sorted(rows, key=lambda one: -float(one.percent)) for key, rows in found.items()}


def zero_shot(references: Iterable[Reference]) -> list[Reference]:
    """Those whose prompt held no worked example, the highest first."""
    return [one for one in references if not one.shots]


def difference(correct: int, n: int, reference: Reference) -> tuple[float, float] | None:
    """95 % interval of an accuracy minus a reference's in points, as of two samples; None where its items are unknown."""
    return None if reference.count is None else difference_of_proportions((correct, n), reference.count, ALPHA)


def spread(references: Sequence[Reference]) -> str:
    """The range of the zero-shot numbers in words."""
    values = [float(one.percent) for one in references]
    low, high = min(values), max(values)
    return f"{high:g} (one source)" if len(values) == 1 else f"{low:g} to {high:g} ({len(values)} numbers)"
