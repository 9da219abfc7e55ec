"""How long the rest of a run takes, behind each "x of y steps done" of Snakemake: the jobs' forecasts at the pace so far.

A forecast knows how much longer one job takes than another better than how long any takes on this machine, and nothing of how many
run at a time. Both show in the pace: seconds passed for each second of forecast that is done.
"""

import logging
import time
from collections.abc import Callable, Mapping

from embedgrad.planning.forecast import clock

ENOUGH = 0.05  # of the forecast must be done before its pace says anything


class Pace(logging.Handler):
    """A handler for Snakemake's logger, which reports jobs as they end.

    Args:
        seconds: forecast of each job that has to run, by Snakemake's id of the job.
        say: where lines go.
        now: the clock, in seconds.
    """

    def __init__(
        self, seconds: Mapping[int, float], say: Callable[[str], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(logging.INFO)
        self.left, self.whole = dict(seconds), sum(seconds.values())
        self.say, self.now, self.started = say, now, now()

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a job that has ended; behind the number of steps say the time left."""
        event = getattr(record, "event", None)
        if event == "job_finished":
            self.left.pop(record.job_id, None)
        elif event == "progress" and self.left and (line := self.line()):
            self.say(line)

    def line(self) -> str:
        """The time left in words, or nothing while too little is known."""
        left = sum(self.left.values())
        done = self.whole - left
        if not done >= ENOUGH * self.whole > 0:
            return ""
        return f"about {clock(left * (self.now() - self.started) / done)} left at this pace"
