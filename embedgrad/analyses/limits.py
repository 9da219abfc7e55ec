"""Accuracy over the token limit: how much of a gain is the limit's, read off the answers that are there.

An answer under a smaller limit is the beginning of the longer one. Answers are kept as text, so they are cut by reading them
back with the model's tokenizer, whose tokens may differ here and there from those that the model wrote.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from embedgrad.files import LOOP_STOPS
from embedgrad.grading import Grading
from embedgrad_core.files import Item

LIMITS = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)


def over_limits(
    tokenizer: PreTrainedTokenizerBase, items: Sequence[Item], answers: Sequence[dict], grading: Grading, most: int
) -> list[dict]:
    """Right and cut answers under each limit up to the run's own.

    Args:
        tokenizer: the model's.
        items: what was answered.
        answers: decoded rows, in the order of ``items``.
        grading: of the task.
        most: the limit that the answers were decoded under.

    Returns:
        One row a limit: ``limit``; ``correct``; ``ended``, answers with an end token by then; ``loops``, those that were
        repeating themselves at the end of the run; ``cut``, the rest.
    """
    ids = [tokenizer(row["output"], add_special_tokens=False)["input_ids"] for row in answers]
    rows = []
    for limit in [*(limit for limit in LIMITS if limit < most), most]:
        found = {"limit": limit, "correct": 0, "ended": 0, "loops": 0, "cut": 0}
        for item, row, tokens in zip(items, answers, ids, strict=True):
            whole = row["n_tokens"] <= limit
            text = row["output"] if whole else tokenizer.decode(tokens[:limit], skip_special_tokens=True)
            found["correct"] += grading.grade(text, item.answer).status == "correct"
            if whole and row["stop"] == "eos":
                found["ended"] += 1
            else:
                found["loops" if row["stop"] in LOOP_STOPS else "cut"] += 1
        rows.append(found)
    return rows
