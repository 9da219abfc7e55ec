r"""Generated sums in three levels, the demo's stand-in for MATH-500.

Example, level 2::

    input   47+8+5=?
    target  47+8=55,55+5=60. \boxed{60}
    answer  60

Each level has more additions (1, 2, 4), so more places to go wrong. Nothing is downloaded; another seed gives
other items.
"""

from functools import partial
from pathlib import Path
from random import Random

from embedgrad.tasks import generated
from embedgrad.tasks.loaded import Loaded

EVALUATOR = "boxed_math"
REVISION = "generated"
ADDITIONS = {"1": 1, "2": 2, "3": 4}


def draw(random: Random, level: str) -> tuple[str, str, str]:
    """One sum of a level: input, worked target, answer."""
    terms = [random.randint(10, 49), *(random.randint(1, 9) for _ in range(ADDITIONS[level]))]
    steps, total = [], terms[0]
    for term in terms[1:]:
        steps.append(f"{total}+{term}={total + term}")
        total += term
    return f"{'+'.join(map(str, terms))}=?", f"{','.join(steps)}. \\boxed{{{total}}}", str(total)


DRAWS: dict[str | None, generated.Draw] = {level: partial(draw, level=level) for level in ADDITIONS}


def load(mirror: Path | None, *, revision: str = REVISION, seed: int = 0, items_per_level: int = 80) -> Loaded:
    """Generate the pool; ``mirror`` and ``revision`` mean nothing here.

    Raises:
        UserError: more items are asked for than there are.
    """
    rows, classes = [], []
    for level, drawn in DRAWS.items():
        triples = generated.distinct(drawn, items_per_level, seed)
        rows += generated.items("arithmetic", triples, level)
        classes += ["sum"] * items_per_level
    return Loaded(rows, classes, {"kind": "generated", "id": "arithmetic", "revision": revision, "seed": seed})
