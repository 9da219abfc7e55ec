"""A number of seconds as people read it."""


def clock(seconds: float) -> str:
    """A time for people: no digit more than a forecast knows."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
