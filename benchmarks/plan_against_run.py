"""What ``embedgrad plan`` forecasts for each job against what it took: a table and a figure.

    python benchmarks/plan_against_run.py --config config/laptop.yaml --times docs/laptop/times.csv --png docs/plan_against_run.png

A job with one thread is held against its CPU seconds, which other work on the machine hardly adds to; one with more threads
against its seconds by the clock, and so is a short one: Snakemake samples CPU seconds, every 30 s in the end, and misses the last
of them. Rates are measured on the machine that this runs on: it must be the one that the run was made on.
"""

import argparse
import csv
from collections import defaultdict
from dataclasses import dataclass, replace
from math import exp, log
from pathlib import Path

from matplotlib.figure import Figure

from embedgrad.planning.durations import LOADING, Durations
from embedgrad.planning.run_config import RunConfig
from embedgrad.reporting.figures.drawing import AFTER, BEFORE, GREY, INK, LINK, save, styled

SHORT = 120  # seconds by the clock
WITHIN = 1.5  # times too long or too short that a rule's forecast may be
COLOURS = {"before": BEFORE, "after": AFTER, "optimize": INK, "baselines": LINK, "analyse": GREY}


@dataclass(frozen=True)
class Job:
    """A job of the run: its rule, its name, and the seconds forecast and taken."""

    rule: str
    name: str
    forecast: float
    taken: float


def main() -> None:
    """Read, compare, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config/laptop.yaml")])
    parser.add_argument("--times", type=Path, default=Path("docs/laptop/times.csv"))
    parser.add_argument(
        "--rates",
        nargs=2,
        type=float,
        metavar=("GFLOPS", "GBPS"),
        help="of products of many rows and of one, on the run's machine when it was idle; default: measured now",
    )
    parser.add_argument("--jobs", action="store_true", help="print each job, too")
    parser.add_argument("--png", type=Path)
    arguments = parser.parse_args()
    from embedgrad.planning.machines import REACHED, this_machine
    from embedgrad_core.model.loading import use_threads

    config = RunConfig.read(*arguments.config)
    use_threads(config.values.get("threads"))
    machine = this_machine(config.values.get("device", "auto"))
    if arguments.rates:
        flops, read = (REACHED * rate * 1e9 for rate in arguments.rates)
        machine = replace(machine, flops=flops, read=read)
    with arguments.times.open(encoding="utf-8", newline="") as lines:
        jobs = compare(config, Durations(config, machine, config.resources), list(csv.DictReader(lines)))
    print(f"{machine.name}: {machine.flops / 1e9:.0f} GFLOP/s, {machine.read / 1e9:.1f} GB/s read in a pass")
    for job in jobs if arguments.jobs else ():
        ratio = job.forecast / job.taken
        print(f"{job.rule:21} {job.name:45} forecast {job.forecast:6.0f} s, taken {job.taken:6.0f} s, {ratio:5.2f}")
    for rule, ratio, count in ratios(jobs):
        note = "" if 1 / WITHIN <= ratio <= WITHIN else f"   more than {WITHIN} times off"
        print(f"{rule:21} forecast / taken {ratio:5.2f} over {count} jobs{note}")
    if arguments.png:
        with styled():
            save(figure(jobs), arguments.png)


def compare(config: RunConfig, durations: Durations, rows: list[dict]) -> list[Job]:
    """The jobs that load a model, forecast beside taken."""
    one_thread = config.values.get("threads") == 1
    found = []
    for row in rows:
        if row["rule"] not in LOADING:
            continue
        first, model, *_ = row["job"].split("/")
        key = "task" if row["rule"] in ("before", "baselines", "chains") else "dataset"
        wildcards = {key: first, "model": model}
        seconds = "cpu_s" if one_thread and float(row["wall_s"]) > SHORT else "wall_s"
        found.append(Job(row["rule"], row["job"], durations.seconds(row["rule"], wildcards), float(row[seconds])))
    return found


def ratios(jobs: list[Job]) -> list[tuple[str, float, int]]:
    """For each rule the geometric mean of forecast / taken over its jobs, and their number."""
    by_rule = defaultdict(list)
    for job in jobs:
        by_rule[job.rule].append(log(job.forecast / job.taken))
    return [(rule, exp(sum(logs) / len(logs)), len(logs)) for rule, logs in by_rule.items()]


def figure(jobs: list[Job]) -> Figure:
    """Forecast over taken, on logarithmic axes, with the band that is right within WITHIN."""
    drawn = Figure(figsize=(5.4, 4.8), layout="constrained")
    axes = drawn.subplots()
    seconds = [value for job in jobs for value in (job.forecast, job.taken)]
    ends = min(seconds) / 1.6, max(seconds) * 1.6
    axes.plot(ends, ends, color=GREY, lw=1)
    axes.fill_between(ends, [e / WITHIN for e in ends], [e * WITHIN for e in ends], color=GREY, alpha=0.15, lw=0)
    for rule in dict.fromkeys(job.rule for job in jobs):
        points = [job for job in jobs if job.rule == rule]
        taken, forecast = [job.taken for job in points], [job.forecast for job in points]
        axes.plot(taken, forecast, "o", ms=5, color=COLOURS.get(rule, INK), label=rule)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="taken, s", ylabel="forecast, s")
    axes.set_title(f"embedgrad plan against the run; the band is {WITHIN} times", loc="left", fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    return drawn


if __name__ == "__main__":
    main()
