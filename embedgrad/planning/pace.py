"""How long the rest of a run takes, after each "x of y steps done" of Snakemake: the jobs' forecasts at the pace so far.

A forecast knows how much longer one job takes than another better than how long any takes on this machine, and nothing of how many
run at a time. Both show in the pace: seconds passed for each second of forecast that is done.
"""

import logging
import time
from collections.abc import Callable, Mapping

from embedgrad.planning.durations import LOADING
from embedgrad.planning.forecast import UNFORESEEN
from embedgrad.planning.run_config import RunConfig
from embedgrad.runtime.clock import clock

ENOUGH = 0.05  # of the forecast must be done before its pace says anything


def job_seconds(config: RunConfig, jobs: Mapping[int, tuple[str, Mapping[str, str]]]) -> dict[int, float]:
    """The forecast of each job (rule and wildcards by Snakemake's id of it), for :class:`Pace`.

    Returns:
        Seconds by id; nothing where no forecast can be made, as :func:`embedgrad.planning.forecast.first_lines` says.
    """
    durations = config.durations
    try:
        # How long a network takes says nothing of the pace of the rest.
        return {
            number: (durations.seconds if rule.removesuffix("_shard") in LOADING else durations.fixed)(rule, wildcards)
            for number, (rule, wildcards) in jobs.items()
        }
    except UNFORESEEN:
        return {}


class Pace(logging.Handler):
    """A handler for Snakemake's logger, which reports jobs as they end.

    Args:
        seconds: forecast of each job that has to run, by Snakemake's id of the job.
        log: where lines go.
        now: the clock, in seconds.
    """

    def __init__(
        self, seconds: Mapping[int, float], log: Callable[[str], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(logging.INFO)
        self.left, self.whole = dict(seconds), sum(seconds.values())
        self.log, self.now, self.started = log, now, now()

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a job that has ended; after the number of steps, log the time left."""
        event = getattr(record, "event", None)
        if event == "job_finished":
            self.left.pop(getattr(record, "job_id", -1), None)
        elif event == "progress" and self.left and (line := self.line()):
            self.log(line)

    def line(self) -> str:
        """The time left in words, or nothing while too little is known."""
        left = sum(self.left.values())
        done = self.whole - left
        if not done >= ENOUGH * self.whole > 0:
            return ""
        return f"about {clock(left * (self.now() - self.started) / done)} left at this pace"
