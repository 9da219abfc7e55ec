"""What a point of the gain costs: seconds, tokens, memory and energy, from what the steps of a cell wrote down."""

import math
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from embedgrad.probes.applies import check_size

# The steps of a cell: what is paid for the gain (chains only where a run trains on them), and what would be run anyway.
PAID = ("chains", "optimize")
STEPS = (*PAID, "before", "after", "baselines", "analyse")
# A clock that shows less than this share of what a job is known to have taken was started again when the job went on.
WHOLE = 0.9


def cost(metrics: Mapping, history: Sequence[Mapping], jobs: Mapping[str, Sequence[Mapping]]) -> dict:
    """Costs of each step, and of the optimisation per point gained.

    A job that was killed and went on has run for longer than its last start: of the optimisation's own count, its epochs' and
    Snakemake's the largest is taken. CPU seconds and energy cannot be made good like that: they are null where the clock that goes
    with them (Snakemake's, the job's own) is well below the largest.

    Args:
        metrics: of the cell.
        history: of its optimisation, a line an epoch.
        jobs: by step, the lines of Snakemake's benchmark files of its jobs (several, where shards share it); a step may be missing.

    Returns:
        ``steps``: by name ``seconds``, ``cpu_seconds``, ``tokens`` (trained on, or generated), ``peak_memory_bytes`` and
        ``energy_joules``, each null where nothing tells it, and ``reason``, why CPU seconds or energy were left out of a job that
        was resumed, else null; ``optimisation``: points gained with their interval, and ``per_point``, by measure, the cost of a
        point and its interval: null where the gain, or that end of it, is not above 0, or a step's share is not known.

    Raises:
        DoesNotApply: too few items to say what was gained.
    """
    check_size(metrics["n"])
    ran = [name for name in STEPS if name != "chains" or jobs.get(name)]
    steps = {name: _step(name, metrics["run"].get(name) or {}, history, jobs.get(name, [])) for name in ran}
    points, (low, high) = metrics["delta"]["points"], metrics["delta"]["newcombe"]
    spent = {
        key: _whole([steps[name][key] for name in PAID if name in steps])
        for key in ("tokens", "seconds", "cpu_seconds", "energy_joules")
    }
    per_point = {
        # The more is gained, the less a point costs: the ends change places.
        key: None if value is None else [_each(value, points), _each(value, high), _each(value, low)]
        for key, value in spent.items()
    }
    return {"steps": steps, "optimisation": {"points": points, "interval": [low, high], "per_point": per_point}}


def _each(total: float, points: float) -> float | None:
    return round(total / points, 3) if points > 0 else None


def _step(name: str, run: Mapping, history: Sequence[Mapping], jobs: Sequence[Mapping]) -> dict:
    training = history if name == "optimize" else []
    clocks = [run.get("seconds"), _sum(job.get("s") for job in jobs), _sum(line.get("seconds") for line in training)]
    rates = [(line.get("tokens_per_s") or 0) * (line.get("seconds") or 0) for line in training]
    tokens = round(math.fsum(rates)) if training else run.get("new_tokens")
    megabytes = [job["max_rss"] for job in jobs if job.get("max_rss") is not None]
    peaks = [run.get("peak_memory_bytes"), 2**20 * max(megabytes) if megabytes else None]
    energy = _sum(run.get(f"energy_{part}_joules") for part in ("cpu", "gpu"))
    seconds, (own, benchmark, _) = _largest(clocks), clocks
    # Of a job that a process with a kept model does, Snakemake sees the command that waits.
    counted = [(run.get("cpu_seconds"), own), (_whole([job.get("cpu_time") for job in jobs]), benchmark)]
    processor, beside = max((pair for pair in counted if pair[0] is not None), default=(None, None), key=itemgetter(0))
    partial = {
        name: f"{name} of the last start alone: its clock shows {clock:,.0f} of {seconds:,.0f} seconds"
        for name, value, clock in (("CPU seconds", processor, beside), ("energy", energy, own))
        if value is not None and clock is not None and seconds is not None and clock < WHOLE * seconds
    }
    return {
        "seconds": seconds,
        "cpu_seconds": None if "CPU seconds" in partial else processor,
        "tokens": tokens,
        "peak_memory_bytes": _largest(peaks),
        "energy_joules": None if "energy" in partial else energy,
        "reason": "resumed; " + "; ".join(partial.values()) if partial else None,
    }


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(math.fsum(known), 3) if known else None


def _whole(values: Sequence[float | None]) -> float | None:
    """Their sum; None where one of them is not known, so that a part is not taken for all."""
    return None if None in values else _sum(values)


def _largest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
