"""What `embedgrad rival cost` measured, beside the rows of the comparison of methods."""

from collections.abc import Sequence
from pathlib import Path

from embedgrad.reporting.rivals.entries import CONTROL, EMBEDGRAD
from embedgrad_core.files import UserError, is_number, read_json

COLUMNS = ("first_token_ms", "token_ms", "first_token_ratio", "token_ratio")


def add_latency(rows: Sequence[dict], results: Path, seed: int) -> list[dict]:
    """The rows with :data:`COLUMNS`: times in milliseconds and over the text prompt's; None where nothing was measured.

    Args:
        rows: as of :func:`embedgrad.reporting.rivals.numbers.numbers`.
        results: ``results/<run>``.
        seed: whose fit was measured.

    Raises:
        UserError: a file of another fit than the seed's answers, or one without these numbers.
    """
    found = []
    for row in rows:
        if row.get("reason"):
            found.append(row | dict.fromkeys(COLUMNS))
            continue
        # EmbedGrad with a searched rate is a fit as any other; the run's own prompt was not timed.
        method = CONTROL if row["method"] == EMBEDGRAD and row["rates_tried"] else row["method"]
        folder = results / "rivals" / row["dataset"] / row["model"] / method
        found.append(row | _columns(folder / "cost.json", folder / f"seed{seed}" / "answer.run.json"))
    return found


def _columns(path: Path, answered: Path) -> dict[str, float | None]:
    if not path.exists():
        return dict.fromkeys(COLUMNS)
    cost = read_json(path)
    if not isinstance(cost, dict) or not all(is_number(cost.get(name)) for name in COLUMNS):
        raise UserError(f"{path}: not what `embedgrad rival cost` writes; measure again.")
    if cost.get("fitted_sha256") != read_json(answered)["fitted_sha256"]:
        raise UserError(f"{path}: was measured of another fit than {answered} tells of; measure again.")
    return {name: cost[name] for name in COLUMNS}
