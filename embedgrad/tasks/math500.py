r"""MATH-500: the 500 test problems of "Let's Verify Step by Step", in five levels of difficulty.

One item as ``load`` makes it (invented in the style of the set; level "2", class "Prealgebra"):

    id      math500/test/prealgebra/1234.json
    input   What is the least multiple of $7$ that is greater than $-30$?
    target  Dividing gives $-30 = 7 \cdot (-5) + 5,$ so the next multiple is $7 \cdot (-4) = \boxed{-28}.$
    answer  -28

Hub: ``HuggingFaceH4/MATH-500``, config default, split test. The mirror file is byte for byte the original,
https://github.com/openai/prm800k/blob/7ecc794703b2877f63226f2477a49b34f9b25163/prm800k/math_splits/test.jsonl
Licence: MIT (prm800k and MATH); the hub card states none. The full MATH set was taken down once after a DMCA notice, so
keep the texts out of this repository.

Traps: levels hold 43/90/105/128/134 problems, and the paper's counts (22/45/53/64/67, together 251) are their halves
rounded up. 42 problems hold Asymptote figures. The answer is always the content of the last box of the solution.
Qwen2.5 models have seen part of this set in pretraining (https://arxiv.org/abs/2507.10532).
"""

from pathlib import Path

from embedgrad.tasks.loaded import Loaded
from embedgrad.tasks.source import Source, read
from embedgrad_core.files import Item, UserError

EVALUATOR = "boxed_math"
REVISION = "main"
_COLUMNS = ("problem", "solution", "answer", "subject", "level", "unique_id")
SOURCE = Source(
    file="math500.jsonl",
    sha256="35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
    mirror_columns=_COLUMNS,
    hub_id="HuggingFaceH4/MATH-500",
    config=None,
    split="test",
    hub_columns=_COLUMNS,
    hub_rows=500,
    licence="MIT",
)


def load(mirror: Path | None, *, revision: str = REVISION, target: str = "solution") -> Loaded:
    r"""All 500 problems; the class of an item is its subject.

    Args:
        mirror: folder with ``data/math500.jsonl``, or None for the hub.
        revision: branch, tag or commit on the hub.
        target: what Eq. 6 is trained on: "solution" (the worked gold solution) or "answer" (``\boxed{answer}``).

    Raises:
        UserError: an unknown ``target``, or the source cannot be read (see ``embedgrad.tasks.source.read``).
    """
    if target not in ("solution", "answer"):
        raise UserError(f"math500: option target is {target!r}; choose 'solution' or 'answer'.")
    rows, provenance = read(SOURCE, mirror, revision)
    return Loaded([_item(row, target) for row in rows], [row["subject"] for row in rows], provenance)


def _item(row: dict, target: str) -> Item:
    return Item(
        id=f"math500/{row['unique_id']}",
        input=row["problem"],
        target=row["solution"] if target == "solution" else rf"\boxed{{{row['answer']}}}",
        answer=row["answer"],
        level=str(row["level"]),
    )
