"""The ladder of baselines of one task and model: every rung's graded answers, and how many of them are right."""

from collections.abc import Callable, Sequence

from embedgrad.analyses.baselines.counts import by_level
from embedgrad.analyses.baselines.rungs import rungs
from embedgrad.analyses.baselines.text_answers import TextAnswers
from embedgrad.grading import Grading
from embedgrad.planning.demand import EXAMPLES
from embedgrad.runtime.progress import Progress
from embedgrad_core.files import Item, UserError


def ladder(
    texts: TextAnswers,
    items: Sequence[Item],
    train: Sequence[Item],
    grading: Grading,
    *,
    dev: Sequence[Item] | None = None,
    rewrite: str | None = None,
    examples: int = EXAMPLES,
    log: Callable[[str], None] = print,
) -> tuple[dict[str, dict], list[dict]]:
    """Answer ``items`` and ``dev``, on which the best rung will be chosen, and grade.

    The other arguments are those of :func:`~embedgrad.analyses.baselines.rungs.rungs`.

    Returns:
        By rung its counts: ``correct``, ``n``, ``levels``, the ids that are ``right``, and the same of ``dev``; or ``left_out``,
        why its texts do not fit the model's context. And all graded answers, each with its ``rung`` and ``split`` (test, dev).
    """
    splits = {"test": items} | ({} if dev is None else {"dev": dev})
    found: dict[str, dict] = {}
    lines: list[dict] = []
    for rung in rungs(texts, train, grading, rewrite=rewrite, examples=examples):
        graded = {}
        try:
            for split, some in splits.items():
                with Progress(f"ladder, {rung.name}, {split}", len(some), log) as at:
                    answers = {row.id: row.row() for row in rung.answer(some, log=log, **at.decoding)}
                    graded[split] = [grading.line(answers[item.id], item.answer) for item in some]
        except UserError as error:
            found[rung.name] = {"left_out": str(error)}  # the examples may not fit a short context; the other rungs do
            log(f"{rung.name}: left out, {error}")
            continue
        counts = {split: _counted(some, graded[split]) for split, some in splits.items()}
        found[rung.name] = counts.pop("test") | counts
        lines += [{"rung": rung.name, "split": split, **line} for split in splits for line in graded[split]]
        log(f"{rung.name}: {found[rung.name]['correct']} of {len(items)}")
    return found, lines


def _counted(items: Sequence[Item], lines: Sequence[dict]) -> dict:
    levels = by_level(items, lines)
    return levels.pop("") | {"levels": levels, "right": sorted(line["id"] for line in lines if line["correct"])}
