"""Progress of long work: a bar on a terminal, plain lines in a log.

A phase is a stretch of work of one kind, over items whose number is known. Its line says the items done of all, items per second
and the time left at that rate. It comes before 30 s have passed, or with 5 % more of the work. A timer looks after the 30 s where
the work itself reports nothing for so long. A short phase writes only its last line.
"""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self, TypedDict

from tqdm import tqdm

from embedgrad.runtime.clock import clock
from embedgrad_core.files import printable

PAUSE = 5.0  # seconds after which the end of any phase is worth a line
EVERY = 30.0 - PAUSE  # seconds between two lines of a phase, at most: no 30 s pass without one where phases meet
SHARE = 0.05  # of the work between two lines, at most
LEAST = 1.0  # seconds between two lines, at least: what is over in a moment needs no twenty lines


class DecodingCallbacks(TypedDict):
    """What ``embedgrad_core.decode`` calls on its way."""

    on_progress: Callable[[int], None]
    on_step: Callable[[float], None]


class Progress:
    """One phase of long work; a context manager, whose end writes the last line or takes the bar away.

    Args:
        phase: what is being done, as the line calls it.
        total: items in all; None until :meth:`of` brings it.
        log: where lines go.
        unit: what is counted, in the plural.
        done: items that are done already, in an earlier run for instance; they count for the share, not for the rate.
        further: from the items per second to words about what comes after this phase, for the end of the line.
        last: whether the end of the phase is worth a line even if it took but a moment.
        bar: whether a terminal gets a bar, or nothing.
        now: the clock, in seconds; with one of the caller's own there is no timer beside the work.

    Example::

        with Progress("ladder, bare", len(items), plain_line) as at:
            decode(frozen, slot, vectors, items, decoding, **at.decoding)
    """

    def __init__(
        self,
        phase: str,
        total: int | None,
        log: Callable[[str], None],
        *,
        unit: str = "items",
        done: int = 0,
        further: Callable[[float], str] | None = None,
        last: bool = True,
        bar: bool = True,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.phase, self.total, self.log, self.unit, self.last = phase, total, log, unit, last
        self.further = further
        self.first = self.done = done
        self.begun = 0.0  # items' worth of what is under way, each by its own share
        self.every = EVERY
        self.now, self.timed = now or time.monotonic, now is None
        self.started = self.logged_at = self.now()
        self.logged_share = self._share()
        self._lock, self._over = threading.RLock(), threading.Event()
        self._timer: threading.Thread | None = None
        self.shown = sys.stderr.isatty()
        hidden = not (self.shown and bar)
        self.bar = tqdm(desc=phase, total=total, initial=done, unit=f" {unit}", disable=hidden, leave=False)

    def update(self, done: int) -> None:
        """This many items are done, those before this run included."""
        with self._lock:
            self.done, self.begun = done, 0.0
            self._look()

    def advance(self, count: int = 1) -> None:
        """This many more items are done."""
        with self._lock:
            self.update(self.done + count)

    def of(self, done: int, total: int) -> None:
        """The same where the work alone knows how many there are."""
        with self._lock:
            if total != self.total:
                self.total = total
                if not self.bar.disable:
                    self.bar.reset(total)
            self.update(done)

    def under_way(self, begun: float) -> None:
        """What is under way comes to this many items, each counted by the share that is done of it, or may be done at most."""
        with self._lock:
            self.begun = begun
            self._look()

    @property
    def decoding(self) -> DecodingCallbacks:
        """The callbacks for ``embedgrad_core.decode``."""
        return {"on_progress": self.update, "on_step": self.under_way}

    @property
    def next_decoding(self) -> DecodingCallbacks:
        """The same for a decoding of some of the phase's items, which begins where the phase stands now."""
        past = self.done
        return {"on_progress": lambda done: self.update(past + done), "on_step": self.under_way}

    def line(self) -> str:
        """Where the phase is, in words."""
        passed = self.now() - self.started
        worked = self.done + self.begun - self.first
        if self.total is None or not (worked > 0 and passed > 0):
            of = "" if self.total is None else f"{self.done} of {self.total} {self.unit}, "
            return f"{self.phase}: {of}{clock(passed)} so far"
        rate = worked / passed
        speed = f"{rate:.3g}" if rate < 100 else f"{rate:.0f}"
        line = f"{self.phase}: {self.done} of {self.total} {self.unit} ({100 * self._share():.0f} %), {speed} {self.unit}/s, "
        if self.done >= self.total:
            return f"{line}took {clock(passed)}"
        # What is under way may end before its limit: until the first item is done, all that is known is how long it takes at most.
        most = "at most " if self.done == self.first else ""
        line += f"{most}{clock((self.total - self.done - self.begun) / rate)} left"
        return line + (f", {more}" if self.further and (more := self.further(rate)) else "")

    def _share(self) -> float:
        return (self.done + self.begun) / self.total if self.total else 0.0

    def _look(self) -> None:
        """Log a line if it is time for one."""
        if self.shown:
            if self.begun:
                self.bar.set_postfix_str(f"{100 * self._share():.0f} %", refresh=False)
            self.bar.update(self.done - self.bar.n)
            return
        since = self.now() - self.logged_at
        # Sums of shares are off by a rounding error.
        further_on = self._share() - self.logged_share >= SHARE - 1e-9 and since >= min(LEAST, self.every)
        if self.done != self.total and (since >= self.every or further_on):
            self._tell()

    def _tell(self) -> None:
        self.logged_at, self.logged_share = self.now(), self._share()
        self.log(self.line())

    def _watch(self) -> None:
        """Write a line where the work itself reports nothing for so long: one forward pass, or another engine's whole run."""
        while not self._over.wait(max(self.logged_at + self.every - self.now(), 0.001)):
            with self._lock:
                if not self._over.is_set() and self.now() - self.logged_at >= self.every:
                    self._tell()

    def __enter__(self) -> Self:
        """Start the timer."""
        if self.timed and self.every > 0 and not self.shown:
            self._timer = threading.Thread(target=self._watch, daemon=True)
            self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take the bar away, or log the last line where the work is done."""
        with self._lock:
            self._over.set()
        if self._timer:
            self._timer.join()
        self.bar.close()
        if kind is None and not self.shown and (self.last or self.now() - self.logged_at >= PAUSE):
            if self.done == self.first:  # nothing was reported: for instance answers that were there already
                of = "" if self.total is None else f"{self.total} {self.unit}, "
                self.log(f"{self.phase}: {of}took {clock(self.now() - self.started)}")
            else:
                self._tell()


class Epochs(AbstractContextManager["Epochs"]):
    """The phases of an optimisation, one at a time; a context manager.

    Training also shows what all epochs still take at most: early stopping may end them sooner.

    Args:
        epochs: how many at most.
        log: where lines go.
        now: the clock, as for :class:`Progress`.
    """

    def __init__(self, epochs: int, log: Callable[[str], None], *, now: Callable[[], float] | None = None) -> None:
        self.epochs, self.log, self.given, self.now = epochs, log, now, now or time.monotonic
        self.epoch, self.part = 0, ""
        self.at: Progress | None = None
        self.checking: float | None = None  # when the check on dev began
        self.check = 0.0  # seconds that it took in the epoch before

    def on_progress(self, epoch: int, part: str, done: int, total: int) -> None:
        """As ``embedgrad_core.optimize`` calls it: this many items of a part of an epoch are done."""
        if self.at is None or (self.epoch, self.part) != (epoch, part):
            self.epoch = epoch
            self.begin(part, total, done)
        else:
            self.at.update(done)

    def begin(self, part: str, total: int, done: int = 0) -> Progress:
        """A part of the epoch, ``train`` or one of the check on dev, in place of the one before."""
        self.close()
        self.part, training = part, part == "train"
        if not training and self.checking is None:
            self.checking = self.now()

        def further(rate: float) -> str:
            later = (self.epochs - self.epoch) * (total / rate + self.check)
            return f"at most {clock((total - at.done) / rate + self.check + later)} for all epochs"

        name = f"{part}, epoch {self.epoch} of at most {self.epochs}"
        # An epoch has a line of its own at its end.
        note = further if training else None
        at = Progress(name, total, self.log, done=done, further=note, last=False, now=self.given)
        self.at = at.__enter__()
        return at

    def end(self) -> None:
        """The epoch is over."""
        self.close()
        if self.checking is not None:
            self.check, self.checking = self.now() - self.checking, None

    def close(self, kind: type[BaseException] | None = None) -> None:
        """The part that is under way is over, or has failed."""
        if self.at:
            self.at.__exit__(kind, None, None)
            self.at = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is under way any more."""
        self.close(kind)


def waiting(what: str, log: Callable[[str], None]) -> Progress:
    """A phase whose progress is unknown: lines show that it goes on, and how long it took."""
    return Progress(what, None, log, last=False, bar=False)


def history_line(line: dict) -> str:
    """One epoch as a line of a log."""
    if "stopped" in line:
        # It names an item, and ids are what a file says.
        return printable(f"epoch {line['epoch']}: stopped, {line['stopped']}; the best prompt so far is kept")
    accuracy = "" if line["dev_accuracy"] is None else f", dev accuracy {line['dev_accuracy']:.3f}"
    train_loss = "" if line["train_loss"] is None else f"train loss {line['train_loss']:.4g}, "
    best = " (best)" if line["best"] else ""
    return (
        f"epoch {line['epoch']}: {train_loss}dev loss {line['dev_loss']:.4g}{accuracy}, drift {line['drift']:.3g}, "
        f"{line['seconds']:.1f} s{best}"
    )
