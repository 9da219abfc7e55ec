"""Which methods a cell cannot have, told from the configuration alone: before the first job, and without torch."""

from collections.abc import Mapping
from typing import Any

from embedgrad.reporting.results.cells import Cell
from embedgrad.rivals.rival import Rival
from embedgrad.tasks import TASKS

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
