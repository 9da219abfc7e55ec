"""How long OpenMP's threads spin before they sleep: a short while, so that a busy machine costs little.

Threads that wait for each other spin before they sleep. libgomp, the OpenMP runtime inside PyTorch's wheels for Linux, does so
300,000 times by itself, milliseconds: longer than a thread's turn on a core that others use too, so that waiting threads burn the
very cores that the others wait for. What a bounded count costs and saves stands in docs/performance.md (benchmarks/busy.py).
"""

import os

# Any of these says that someone has chosen: the standard's own, libgomp's, and that of Intel's and LLVM's runtimes.
OWN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
# As measured: 3,000 costs a quarter on a quiet machine, 30,000 doubles the time on a busy one.
SPINS = 10_000


def limit_spinning() -> None:
    """Set ``GOMP_SPINCOUNT`` for this process and those that it starts, unless the user has chosen.

    libgomp reads it once, when it is loaded: call this before torch is imported. Other runtimes do not look at it.
    """
    if not any(name in os.environ for name in OWN):
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
