"""What protocol recovery searches beyond the two layouts, and how many decodings that takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embedgrad import tasks
from embedgrad_core.files import UserError, read_json

# Choices that cost decodings, searched where a configuration's `recovery.axes` names them (analyses/baselines/variants.py).
AXES = ("system_message", "repetition_penalty", "edition")
# Values that each has: the template's own message, an empty one, none; no penalty, the shipped one; two editions.
SYSTEMS, PENALTIES, EDITIONS = 3, 2, 2


def added_decodings(values: Mapping[str, Any], task: str, ships_penalty: bool) -> int:
    """Decodings of the searched items that a run's axes add to those of the two layouts.

    Args:
        values: the configuration.
        task: the task.
        ships_penalty: whether the model's files ask for a repetition penalty, as far as that is known.
    """
    axes = searched_axes(values, task)
    layouts = 1 + (SYSTEMS if "system_message" in axes else 1)
    layouts *= PENALTIES if "repetition_penalty" in axes and ships_penalty else 1
    return layouts * (EDITIONS if "edition" in axes else 1) - 2


def searched_axes(values: Mapping[str, Any], task: str) -> list[str]:
    """The axes that a task's search has, in one order; an edition only where its data set has two."""
    wanted = (values.get("recovery") or {}).get("axes", ())
    has_editions = hasattr(tasks.find(task), "EDITIONS")
    return [axis for axis in AXES if axis in wanted and (axis != "edition" or has_editions)]


def ships_penalty(folder: str | Path | None) -> bool:
    """Whether a model's folder asks for a repetition penalty; of one that is not at hand it is assumed, as Qwen2.5's do."""
    if folder is None or not Path(folder).is_dir():
        return folder is None
    try:
        found = read_json(Path(folder) / "generation_config.json")
    except UserError:  # not there: it ships none
        return False
    return isinstance(found, dict) and found.get("repetition_penalty") not in (None, 1, 1.0)
