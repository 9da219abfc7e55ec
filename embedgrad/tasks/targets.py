"""What Eq. 6 trains a label task on; the paper does not say.

* ``label``: the label word alone, as it is graded
* ``sentence``: a fixed sentence that states it
* ``own_chain``: the model's own right chain of thought (``embedgrad chains``). It needs the model, so the data hold the label, and
  training items get their chains in a job of their own.
"""

from collections.abc import Sequence
from dataclasses import replace

from embedgrad_core.files import Item, UserError

LABEL, SENTENCE, OWN_CHAIN = "label", "sentence", "own_chain"
KINDS = (LABEL, SENTENCE, OWN_CHAIN)
# One for all label tasks; every evaluator reads the label in it, strictly too.
STATED = "The answer is {}."


def with_targets(task: str, items: Sequence[Item], kind: str) -> list[Item]:
    """Items whose target is their answer, with targets of a kind.

    Raises:
        UserError: an unknown kind.
    """
    if kind not in KINDS:
        raise UserError(f"{task}: option target is {kind!r}; choose {', '.join(map(repr, KINDS))}.")
    return [replace(item, target=STATED.format(item.answer)) for item in items] if kind == SENTENCE else list(items)
