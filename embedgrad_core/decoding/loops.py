"""Repetition loops: what counts as one (docs/protocol.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

from embedgrad_core.files import UserError


@dataclass(frozen=True)
class LoopRule:
    """When the tail of an output counts as a repetition loop.

    It must consist of one phrase repeated at least ``repeats`` times over at least ``tokens`` tokens.
    """

    repeats: int = 3
    tokens: int = 24

    def __post_init__(self) -> None:
        if self.repeats < 1 or self.tokens < 1:
            raise UserError(
                f"a loop of {self.repeats} repeats over {self.tokens} tokens cannot be; give at least 1 of each."
            )


def is_loop(ids: Sequence[int], rule: LoopRule) -> bool:
    """Whether the tail of ``ids`` is one phrase repeated, as ``rule`` says."""
    for period in range(1, len(ids) // rule.repeats + 1):
        tail = ids[-max(period * rule.repeats, rule.tokens) :]
        if len(tail) >= rule.tokens and all(tail[i] == tail[i + period] for i in range(len(tail) - period)):
            return True
    return False
