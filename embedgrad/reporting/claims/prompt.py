"""Claims about the prompt's vectors: semantic anchoring (Section 5.1) and the activation along a direction (5.3)."""

from collections.abc import Iterator

from embedgrad.reporting.claims.measured import Measured, Run
from embedgrad.reporting.results.analyses import read_anchoring, read_lat, read_positions


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


def _layers(run: Run, tasks: tuple[str, ...]) -> Iterator[list[dict]]:
    """Of each cell, its layers; each with whether its direction separates held-out pairs better than random directions do."""
    for analysis in run.analyses("lat.json", read_lat, tasks):
        yield [
            row["readings"]["prompt_mean"]
            | {"layer": place, "valid": row["accuracy"]["held_out"] > row["accuracy"]["random"]["q975"]}
            for place, row in enumerate(analysis["layers"])
        ]


_INVALID = "no direction separates held-out pairs better than 97.5 % of random directions do"


def smallest_activation(run: Run, *tasks: str) -> Measured | None:
    """The smallest change of activation over the layers, and cells, whose direction passes its control."""
    layers = [row for cell in _layers(run, tasks) for row in cell]
    if not layers:
        return None
    valid = [row for row in layers if row["valid"]]
    least = min(valid or layers, key=lambda row: row["delta"])
    low, high = least["random"]
    control = f"{len(valid)} of {len(layers)} layers have a valid direction; random ones there: {low:.2f} to {high:.2f}"
    return Measured(least["delta"], tuple(least["band"]), control=control, gate="" if valid else _INVALID)


def first_layer(run: Run, *tasks: str) -> Measured | None:
    """Share of cells whose largest change is at the first layer (embeddings or first block), where its direction is valid."""
    cells = list(_layers(run, tasks))
    judged = [cell for cell in cells if any(row["valid"] for row in cell[:2])]
    hits = sum(max(cell, key=lambda row: row["delta"])["layer"] <= 1 for cell in judged or cells)
    gate = "" if judged else _INVALID
    return Measured.share(hits, len(judged or cells), control=f"{len(judged)} of {len(cells)} cells judged", gate=gate)
