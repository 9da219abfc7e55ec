"""BIG-bench causal_judgment: short stories about causes and intentions, answered as a typical person would.

One item as ``load`` makes it (invented in the style of the set; class "Yes")::

    id      causal_judgment/166
    input   A lamp goes on only if both of its switches are down. Ann presses the first, as she does each morning, and
            then Ben, who was told not to, presses the second. The lamp goes on. Did Ben cause the lamp to go on?
    target  Yes
    answer  Yes

Hub: ``hails/bigbench``, config causal_judgment_zero_shot, split default (190 rows; its train and validation splits
are a partition of it). ``google/bigbench`` needs a loading script, which ``datasets`` no longer runs. Official source:
https://github.com/google/BIG-bench/blob/main/bigbench/benchmark_tasks/causal_judgment/task.json, read here in the copy
https://github.com/keirp/automatic_prompt_engineer/blob/eac521c79a78965245ce7745dcc9f6b0792c7ec7/data/bigbench-ii/causal_judgment/task.json
Licence: Apache-2.0. Its canary asks that the texts stay out of training corpora: do not commit them.

Traps: BIG-Bench Hard's *causal_judgement* (other spelling) has 187 of these 190; the paper's 95 is half of 190. The
task's own prefix ("How would a typical person ...") is left out because the paper's Table 1 prompt already says it; the
hub's inputs carry it and frame the story as "Q: ... A:", which ``load`` takes off. Two stories stand twice with
opposite answers (166 Yes / 167 No, 182 No / 184 Yes): at most 188 of 190 can be right. Most have minimal pairs
beside them.
"""

import re
from pathlib import Path

from embedgrad.tasks.loaded import Loaded
from embedgrad.tasks.source import Source, read
from embedgrad.tasks.targets import LABEL, with_targets
from embedgrad_core.files import Item, UserError

EVALUATOR = "yes_no"
LABELS = ("Yes", "No")
REVISION = "main"
TASK_PREFIX = "How would a typical person answer each of the following questions about causation?"
SOURCE = Source(
    file="causal_judgment.json",
    sha256="5bb2eec8e448d1784ed43c24409cc6b97932fcaa3039bf8ba43cfc5f7faabdb0",
    mirror_columns=("input", "target_scores"),
    hub_id="hails/bigbench",
    config="causal_judgment_zero_shot",
    split="default",
    hub_columns=("idx", "inputs", "multiple_choice_targets", "multiple_choice_scores"),
    hub_rows=190,
    licence="Apache-2.0",
    within="examples",
)
_FRAME = re.compile(rf"\s*(?:{re.escape(TASK_PREFIX)})?\s*(?:Q:\s)?(?P<story>.*?)\s*(?:\n\s*A:\s*)?", re.DOTALL)


def load(mirror: Path | None, *, revision: str = REVISION, task_prefix: bool = False, target: str = LABEL) -> Loaded:
    """All 190 questions; the id is the row number of BIG-bench's file from 0, the class is the answer.

    Args:
        mirror: folder with ``data/causal_judgment.json``, or None for the hub.
        revision: branch, tag or commit on the hub.
        target: what Eq. 6 is trained on, see :mod:`embedgrad.tasks.targets`.
        task_prefix: put BIG-bench's own prefix line before each story.

    Raises:
        UserError: an unknown ``target``, a row without exactly one right answer of Yes and No, or the source cannot be read.
    """
    if not isinstance(task_prefix, bool):
        raise UserError(f"causal_judgment: option task_prefix is {task_prefix!r}; choose true or false.")
    rows, provenance = read(SOURCE, mirror, revision)
    if provenance["kind"] == "mirror":
        cases = [(place, row["input"], row["target_scores"]) for place, row in enumerate(rows)]
    else:
        cases = [(row["idx"], row["inputs"], _scores(row)) for row in rows]
    items = with_targets("causal_judgment", [_item(*one, task_prefix) for one in cases], target)
    return Loaded(items, [item.answer for item in items], provenance)


def _scores(row: dict) -> dict[str, int]:
    return dict(zip(row["multiple_choice_targets"], row["multiple_choice_scores"], strict=True))


def _item(place: int, text: str, scores: dict[str, int], task_prefix: bool) -> Item:
    right = [answer for answer, score in scores.items() if score == 1]
    if set(scores) != set(LABELS) or len(right) != 1:
        raise UserError(
            f"causal_judgment: row {place} has scores {scores}; exactly one of Yes and No must be 1, "
            "so give an older commit as the revision."
        )
    story = framed["story"] if (framed := _FRAME.fullmatch(text)) else text  # the frame fits any text
    shown = f"{TASK_PREFIX}\n{story}" if task_prefix else story
    return Item(id=f"causal_judgment/{place:03d}", input=shown, target=right[0], answer=right[0])
