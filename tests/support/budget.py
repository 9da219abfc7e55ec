"""How much of what is drawn at random is tried.

``EMBEDGRAD_TEST_BUDGET=20 make test`` tries twenty times as much, for a nightly run; `make check` tries a quarter.
"""

import os

BUDGET = float(os.environ.get("EMBEDGRAD_TEST_BUDGET") or 1)


def times(number: int) -> int:
    """``number`` of examples, mutants or kills, as the budget scales it; at least one."""
    return max(1, round(number * BUDGET))
