"""Where a probe has nothing to say, which is a result and no error."""

from collections.abc import Callable

# Fewer test items than this bear no probe: every interval would span most of the scale.
FEWEST = 8


class DoesNotApply(Exception):
    """A probe that does not fit a cell: a task without labels, a model without a chat template, a handful of items."""


def result_of(name: str, probe: Callable[[], dict]) -> dict:
    """What a probe writes: its name, whether it applies, and then what it found, or the reason."""
    from embedgrad_core.layout import NoChatTemplate

    try:
        found = probe()
    except (DoesNotApply, NoChatTemplate) as why:
        return {"probe": name, "applies": False, "reason": str(why)}
    return {"probe": name, "applies": True, **found}


def check_size(items: int, least: int = FEWEST, split: str = "test") -> None:
    """Refuse a cell of too few items in a split.

    Raises:
        DoesNotApply: it has fewer than ``least``.
    """
    if items < least:
        raise DoesNotApply(f"{items} {split} items are too few, it takes {least}")
