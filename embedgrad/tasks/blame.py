"""Generated questions about who caused what, the demo's stand-in for causal judgment.

Example::

    input   Ben did not kick the ball, and the lamp fell. Did Ben cause it?
    target  No
    answer  No

The answer is Yes when a forceful deed was done, or a careful one left undone: two facts that have to be put together. One
deed in four is left undone, so a reader who overlooks the "not" is right three times in four.
"""

from pathlib import Path
from random import Random

from embedgrad.tasks import generated
from embedgrad.tasks.loaded import Loaded
from embedgrad.tasks.targets import LABEL, with_targets

EVALUATOR = "yes_no"
LABELS = ("Yes", "No")
REVISION = "generated"

NAMES = ("Tom", "Ana", "Lily", "Max", "Ben", "Zoe")
FORCEFUL = ("kick", "push", "drop", "hit", "shake", "pull")
CAREFUL = ("hold", "guard", "watch", "fix", "lock", "catch")
THINGS = ("cup", "lamp", "vase", "door", "box", "shelf")
EFFECTS = ("fell", "broke", "cracked", "tipped over")


def draw(random: Random) -> tuple[str, str, str]:
    """One question: input, target, answer."""
    name, thing, effect = random.choice(NAMES), random.choice(THINGS), random.choice(EFFECTS)
    forceful, done = random.random() < 0.5, random.random() < 0.75
    deed = random.choice(FORCEFUL if forceful else CAREFUL)
    answer = "Yes" if forceful == done else "No"
    did = "did" if done else "did not"
    return f"{name} {did} {deed} the {thing}, and it {effect}. Did {name} cause it?", answer, answer


DRAWS: dict[str | None, generated.Draw] = {None: draw}  # by level


def load(
    mirror: Path | None, *, revision: str = REVISION, seed: int = 0, count: int = 200, target: str = LABEL
) -> Loaded:
    """Generate the pool; ``mirror`` and ``revision`` mean nothing here; ``target`` is of :mod:`embedgrad.tasks.targets`.

    Raises:
        UserError: more items are asked for than there are, or an unknown target.
    """
    rows = with_targets("blame", generated.items("blame", generated.distinct(draw, count, seed)), target)
    provenance = {"kind": "generated", "id": "blame", "revision": revision, "seed": seed}
    return Loaded(rows, [row.answer for row in rows], provenance)
