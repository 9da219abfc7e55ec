"""Generated sentences whose mood follows from their words, the demo's stand-in for MEDD.

Example::

    input   Tom smiled at the storm and laughed.
    target  happy
    answer  happy

Each sentence holds three mood words, two of them of its own mood and one of another.
"""

from pathlib import Path
from random import Random

from embedgrad.tasks import generated
from embedgrad.tasks.loaded import Loaded
from embedgrad.tasks.targets import LABEL, with_targets

EVALUATOR = "label"
LABELS = ("happy", "sad", "angry", "calm")
REVISION = "generated"

WORDS = {
    "happy": ("smiled", "laughed", "danced", "cheered", "giggled"),
    "sad": ("wept", "sighed", "mourned", "sobbed", "moped"),
    "angry": ("shouted", "raged", "stormed", "cursed", "fumed"),
    "calm": ("rested", "breathed", "dozed", "strolled", "listened"),
}
NAMES = ("Tom", "Ana", "Lily", "Max", "Ben", "Zoe")
PLACES = ("at home", "in the park", "by the lake", "at school", "on the train")


def draw(random: Random) -> tuple[str, str, str]:
    """One sentence: input, target, answer."""
    label, other = random.sample(LABELS, 2)
    words = [*random.sample(WORDS[label], 2), random.choice(WORDS[other])]
    random.shuffle(words)
    text = f"{random.choice(NAMES)} {words[0]}, {words[1]} and {words[2]} {random.choice(PLACES)}."
    return text, label, label


DRAWS: dict[str | None, generated.Draw] = {None: draw}  # by level


def load(
    mirror: Path | None, *, revision: str = REVISION, seed: int = 0, count: int = 200, target: str = LABEL
) -> Loaded:
    """Generate the pool; ``mirror`` and ``revision`` mean nothing here; ``target`` is of :mod:`embedgrad.tasks.targets`.

    Raises:
        UserError: more items are asked for than there are, or an unknown target.
    """
    rows = with_targets("mood", generated.items("mood", generated.distinct(draw, count, seed)), target)
    provenance = {"kind": "generated", "id": "mood", "revision": revision, "seed": seed}
    return Loaded(rows, [row.answer for row in rows], provenance)
