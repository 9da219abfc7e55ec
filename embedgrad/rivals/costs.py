"""What a fit and an answer of a rival took, for their run files."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from embedgrad.rivals.rival import Rival
from embedgrad_core.model.costs import Shape

if TYPE_CHECKING:
    from embedgrad_core import FrozenModel


def total(history: Sequence[dict], key: str) -> float:
    """Over the epochs; a line that does not say it has none."""
    return round(sum(line.get(key, 0) for line in history), 3)


def allowed_epochs(rival: Rival, chosen: Mapping[str, Any], epochs: int) -> int | None:
    """The last epoch, or step of a search in words, that a fit may come to; None where there is nothing of the kind."""
    steps = {"feedback": chosen.get("steps"), "at_test_time": None}
    return steps.get(rival.family, epochs)


def item_forwards(history: Sequence[dict], train: int) -> int:
    """Items that ran forward in training; a step by gradient counts an item three times, for its backward pass."""
    if not history:
        return 0
    return history[-1].get("item_forwards", 3 * train * (len(history) - 1))


def kv_bytes(frozen: "FrozenModel") -> int | None:
    """Bytes of the keys and values of one position, in all layers; None of a model whose shape is not known."""
    try:
        return Shape.of(frozen.network.config).cache_bytes(1, frozen.dtype.itemsize)
    except KeyError:
        return None
