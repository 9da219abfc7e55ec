"""The work one comparison may take, counted and not timed, so that a verdict is the same on every machine.

Every stage pays before it works: ``spend(n)`` takes ``n`` (each about 0.7 µs on a laptop) off what is left, and what has no
more to spend ends with :class:`OutOfBounds`.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

WORK = 1_000_000
DEEPEST = 60  # brackets in brackets

_left: ContextVar[list[int] | None] = ContextVar("work left", default=None)


class OutOfBounds(Exception):
    """More than is compared: a number too large, a text too long or too deep, or too much work."""


@contextlib.contextmanager
def limited(work: int = WORK) -> Iterator[None]:
    """Give the block so much work, whatever was left outside."""
    token = _left.set([work])
    try:
        yield
    finally:
        _left.reset(token)


def spend(work: int) -> None:
    """Pay for work about to be done; free outside of :func:`limited`.

    Raises:
        OutOfBounds: that much is not left.
    """
    left = _left.get()
    if left is not None:
        left[0] -= work
        if left[0] < 0:
            raise OutOfBounds("too much work to compare")
