"""How far an answering has come: a bar on a terminal, a plain line now and then without one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

LINES = 20  # at most so many, however long it takes


@contextmanager
def answering(say: Callable[[str], None]) -> Iterator[Callable[[int, int], None]]:
    """Yield what takes the number of answers so far and in all; ``say`` gets the lines."""
    bar = tqdm(unit="item", disable=not sys.stderr.isatty(), leave=False)

    def on_progress(done: int, total: int) -> None:
        if bar.disable:
            if done % max(1, total // LINES) == 0 or done == total:
                say(f"{done} of {total} items answered")
            return
        if bar.total != total:
            bar.reset(total)
        bar.update(done - bar.n)

    with bar:
        yield on_progress
