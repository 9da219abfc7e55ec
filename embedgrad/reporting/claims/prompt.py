"""Claims about the prompt's vectors: semantic anchoring (Section 5.1) and the activation along a direction (5.3)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from embedgrad.reporting.claims.measured import Measured, Run
from embedgrad.reporting.results.analyses import (
    interval_of,
    main_reading,
    read_anchoring,
    read_lat,
    read_positions,
    separates,
)

READERS = ("template", "responses")  # the first that is valid


def _positions(run: Run) -> list[dict]:
    return [row for one in run.analyses("anchoring.json", read_positions) for row in one["positions"]]


def smallest_p(run: Run) -> Measured | None:
    """The smallest probability of an original token after optimisation, softmax(v·Eᵀ)."""
    rows = _positions(run)
    if not rows:
        return None
    after, before, random = (min(row[side]["softmax"]["p"] for row in rows) for side in ("after", "before", "random"))
    return Measured(after, untouched=before, control=f"moved as far at random: {random:.2g}")


def similarity(run: Run) -> Measured | None:
    """The mean cosine of an optimised vector with its own word's."""
    rows = [row for row in _positions(run) if "p" in row["after"]["cosine"]]
    values = {side: [row[side]["cosine"]["p"] for row in rows] for side in ("after", "random")}
    random = f"moved as far at random: {sum(values['random']) / len(rows):.3f}" if rows else ""
    return Measured.mean(values["after"], untouched=1.0, control=random)


def words_kept(run: Run) -> Measured | None:
    """Share of positions whose cosine-nearest token is still the original one."""
    rows = [analysis["summary"] for analysis in run.analyses("anchoring.json", read_anchoring)]
    positions = sum(row["positions"] for row in rows)
    seen = [row for row in _positions(run) if "token_id" in row]
    random = sum(row["random"]["cosine"]["nearest_id"] == row["token_id"] for row in seen)
    control = f"moved as far at random: {random / len(seen):.3f}" if seen else ""
    return Measured.share(
        sum(row["nearest_token_unchanged"] for row in rows), positions, untouched=1.0, control=control
    )


_INVALID = "no direction separates held-out pairs better than 97.5 % of random directions do"


@dataclass(frozen=True)
class _Read:
    """A cell's layers, by the reader that its claims are read by."""

    reader: str
    layers: list[dict]

    @classmethod
    def of(cls, analysis: dict) -> Self:
        """The template's reader where any of its directions is valid, else that of the responses."""
        readers = analysis["readers"]
        valid = [name for name in READERS if name in readers and any(map(separates, readers[name]["layers"]))]
        name = next(iter(valid), "responses")
        layers = readers[name]["layers"]
        why = "" if name == "template" else f": template not {'valid' if 'template' in readers else 'computed'}"
        place = main_reading(name, layers)
        found = [row["readings"][place] | {"layer": n, "valid": separates(row)} for n, row in enumerate(layers)]
        return cls(f"{name} at {place}{why}", found)


def _cells(run: Run, tasks: tuple[str, ...]) -> list[_Read]:
    """The cells' readings; where any has the template's, only those that have it: Δ is on another scale without."""
    analyses = run.analyses("lat.json", read_lat, tasks)
    newer = [one for one in analyses if "template" in one["readers"]]
    return [_Read.of(one) for one in newer or analyses]


def _readers(cells: Sequence[_Read]) -> str:
    counts = Counter(one.reader for one in cells)
    return "; ".join(f"reader of {n} of {len(cells)} cells: {name}" for name, n in counts.items())


def smallest_activation(run: Run, *tasks: str) -> Measured | None:
    """The smallest change of activation over the layers, and cells, whose direction passes its control.

    The interval is that of a smallest: one layer below 0 refutes "all layers", but is picked from all of them.
    """
    cells = _cells(run, tasks)
    layers = [row for cell in cells for row in cell.layers]
    if not layers:
        return None
    valid = [row for row in layers if row["valid"]]
    judged = valid or layers
    least = min(judged, key=lambda row: row["delta"])
    told = [
        f"{len(valid)} of {len(layers)} layers have a valid direction; random ones there: {_range(least['random'])}"
    ]
    if least["shuffled"]:
        told.append(f"of shuffled labels: {_range(least['shuffled'])}")
    if least["displaced"]:
        told.append(f"prompts moved as far at random: {_range(least['displaced'])}")
    gate = "" if valid else _INVALID
    deltas, bounds = [row["delta"] for row in judged], [interval_of(row) for row in judged]
    return Measured.smallest(deltas, bounds, control="; ".join([*told, _readers(cells)]), gate=gate)


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def first_layer(run: Run, *tasks: str) -> Measured | None:
    """Share of cells whose largest change is at the first layer (embeddings or first block), where its direction is valid."""
    cells = _cells(run, tasks)
    judged = [cell for cell in cells if any(row["valid"] for row in cell.layers[:2])]
    hits = sum(max(cell.layers, key=lambda row: row["delta"])["layer"] <= 1 for cell in judged or cells)
    control = "; ".join([f"{len(judged)} of {len(cells)} cells judged", _readers(cells)])
    return Measured.share(hits, len(judged or cells), control=control, gate="" if judged else _INVALID)
