"""The data sets, one file each, all turned into the same JSONL by ``embedgrad.tasks.splitting.prepare``."""

from types import ModuleType

from embedgrad.tasks import arithmetic, blame, causal_judgment, imdb, math500, medd, mood
from embedgrad_core.files import UserError

TASKS: dict[str, ModuleType] = {
    "math500": math500,
    "imdb": imdb,
    "medd": medd,
    "causal_judgment": causal_judgment,
    # Generated, for the demo.
    "arithmetic": arithmetic,
    "mood": mood,
    "blame": blame,
}


def find(name: str) -> ModuleType:
    """The module of task ``name``: EVALUATOR, REVISION and ``load``; LABELS and SYNONYMS where it has them.

    Raises:
        UserError: no such task; the message names the known ones.
    """
    if name not in TASKS:
        raise UserError(f"task {name!r} is unknown; choose one of {', '.join(TASKS)}.")
    return TASKS[name]
