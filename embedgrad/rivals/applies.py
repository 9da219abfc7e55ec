"""Which methods a cell or a run cannot have, from the configuration alone: before the first job, and without torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from embedgrad.reporting.results.cells import Cell
from embedgrad.rivals.rival import Rival
from embedgrad.rivals.table import CONTROL
from embedgrad.tasks import TASKS
from embedgrad_core.files import UserError

CLOSED = ("label", "yes_no")  # evaluators of answers that are one of a few classes


def reason_against(rival: Rival, cell: Cell, model: Mapping[str, Any]) -> str:
    """Why a method does not apply to a cell, or empty where nothing is known against it.

    Args:
        rival: name and settings.
        cell: data set and model.
        model: the model's part of the configuration.
    """
    is_closed = getattr(TASKS.get(cell.task), "EVALUATOR", None) in CLOSED
    if rival.settings.get("start") == "labels" and not is_closed:
        return "starts from class labels, and the task has none"
    if "fuse" in rival.settings and (is_closed or cell.level is not None):
        return "fuses adapters of several levels, and the cell has one"
    if rival.settings.get("method") == "full" and model["dtype"] in ("bfloat16", "float16"):
        return f"trains the model's own weights, which must be float32, and the model is loaded in {model['dtype']}"
    return ""


def check_comparison(
    values: Mapping[str, Any], fitted: Sequence[tuple[Cell, Rival, Sequence[int]]], source: str
) -> None:
    """Refuse a comparison whose methods, the null control among them, cannot be fitted as the run's own cells are.

    Args:
        values: the configuration.
        fitted: cells and the methods fitted on them, with the seeds of the run's own cell.
        source: where the configuration comes from.

    Raises:
        UserError: names the key.
    """
    if not fitted:
        return
    optimize = values["optimize"]
    other = {
        "folds": ("above 1", optimize.get("folds", 0) > 1),
        "early_stop": ("dev_accuracy", optimize.get("early_stop") == "dev_accuracy"),
        "initial_displacement": ("not 0", optimize.get("initial_displacement", 0) > 0),
    }
    for key, (what, is_set) in other.items():
        if is_set:
            raise UserError(
                f"{source}: optimize.{key} is {what}, which other methods cannot have, so that EmbedGrad would not be fitted as "
                "they are; leave out rivals, or the key."
            )
    first = values["rivals"]["seeds"][0]
    for cell, rival, seeds in fitted:
        if rival.name == CONTROL and first not in seeds:
            raise UserError(
                f"{source}: rivals.seeds: {CONTROL} is held against the run's own {cell.dataset}/{cell.model} of the first seed, "
                f"{first}, and the run has {', '.join(map(str, seeds))}; begin with one of these."
            )
