"""How the whole table, five seeds of it, and the sweep would run on many GPUs: a simulation.

    python benchmarks/scheduling/schedule.py --gpu h100 --gpus 1 8 64
    python benchmarks/scheduling/schedule.py --gpu h100 --figure docs/figures/scaling.png

The jobs and what waits for what are Snakemake's own plan (``dag.py``), their seconds the forecast of ``embedgrad plan --gpu``
(``embedgrad/planning/durations.py``). No run on that many GPUs backs it.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import yaml
from dag import ROOT, planned
from list_schedule import Job, Schedule, critical_path, schedule
from reshape import grouped, preempted, sharded, widened

from embedgrad.planning.durations import LOAD, Durations
from embedgrad.planning.gpus import named_gpu
from embedgrad.planning.run_config import RunConfig

CONFIGS = ("config/paper.yaml", "config/sensitivity.yaml")
# What the work's shards are of: the decodings of the cells, and those of the baselines (their rungs) besides.
DECODINGS, BASELINES = ("before", "after"), ("before", "after", "baselines")


def workload(gpu: str, seeds: int, load: float, where: Path = ROOT) -> tuple[list[Job], RunConfig]:
    """The DAG of the table and the sweep with a duration for each job."""
    values: dict = {}
    for file in CONFIGS:
        values |= yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    config = RunConfig.check({**values, "seeds": list(range(seeds))})
    wanted = ",".join(map(str, range(seeds)))
    plan = planned(["--configfile", *CONFIGS, "--config", f"seeds={wanted}"], where)
    durations = Durations(config, named_gpu(gpu), config.resources, load)
    return [
        Job(
            " ".join([job.rule, *job.wildcards.values()]),
            durations.seconds(job.rule, job.wildcards),
            job.gpus,
            job.needs,
            durations.fixed(job.rule, job.wildcards),
            job.rule,
            job.wildcards,
        )
        for job in plan
    ], config


def cut(jobs: list[Job], tasks: list[str], shards: int, rules: tuple[str, ...]) -> list[Job]:
    """The decodings of several tasks in shards."""
    for task in tasks:
        jobs = sharded(jobs, task, shards, rules)
    return jobs


def scenarios(
    jobs: list[Job], config: RunConfig, tasks: list[str], shards: int, wait: float
) -> dict[str, tuple[list[Job], dict]]:
    """Name, jobs, and how they are scheduled."""

    def large(model: str) -> bool:
        return config.values["models"][model]["parameters"] > 14e9

    named = ", ".join(tasks)
    return {
        "as it is": (jobs, {}),
        "first come, first served": (jobs, {"longest_first": False}),
        f"{named}: before and after in {shards} shards": (cut(jobs, tasks, shards, DECODINGS), {}),
        f"{named}: baselines in {shards} shards too": (cut(jobs, tasks, shards, BASELINES), {}),
        f"{wait:.0f} s in a queue before each job": (jobs, {"wait": wait}),
        "the same, a cell's jobs as one": (grouped(jobs), {"wait": wait}),
        "the same, its model loaded once": (grouped(jobs, one_process=True), {"wait": wait}),
        "two GPUs for each job of a 14B model": (widened(jobs, 2, large), {}),
    }


def measured(jobs: list[Job], gpus: int, options: dict) -> dict:
    """One schedule beside its lower bounds."""
    done: Schedule = schedule(jobs, gpus, slots=max(16, 2 * gpus), **options)
    path, chain = critical_path(jobs, options.get("wait", 0.0))
    alone = done.busy / gpus
    return {
        "gpus": gpus,
        "makespan": done.makespan,
        "gpu_seconds": done.busy,
        "utilisation": done.utilisation,
        "critical_path": path,
        "work_a_gpu": alone,
        "bound": max(path, alone),
        "bound_by": "critical path" if path > alone else "work",
        "chain": [f"{jobs[place].name} ({jobs[place].seconds:.0f} s)" for place in chain],
    }


def print_rows(name: str, rows: list[dict], jobs: list[Job]) -> None:
    """One scenario as a table."""
    print(f"\n{name}: {len(jobs)} jobs, {sum(job.gpus > 0 for job in jobs)} of them on GPUs")
    print(f"{'GPUs':>5}{'makespan h':>12}{'GPU hours':>11}{'utilised':>10}{'bound h':>9}  over bound  bound by")
    for row in rows:
        print(
            f"{row['gpus']:5d}{row['makespan'] / 3600:12.2f}{row['gpu_seconds'] / 3600:11.2f}{row['utilisation']:10.0%}"
            f"{row['bound'] / 3600:9.2f}{row['makespan'] / row['bound']:12.2f}  {row['bound_by']}"
        )
    print(f"  critical path {rows[0]['critical_path'] / 3600:.2f} h: {' > '.join(rows[0]['chain'])}")


def tell_rules(jobs: list[Job]) -> None:
    """GPU hours of each rule."""
    hours: Counter[str] = Counter()
    for job in jobs:
        hours[job.rule] += job.gpus * job.seconds / 3600
    print("\nGPU hours by rule: " + ", ".join(f"{rule} {spent:.1f}" for rule, spent in hours.most_common() if spent))


def tell_preemptions(rates: list[float], cases: dict[str, list[Job]]) -> None:
    """GPU hours by how often a GPU is taken away."""
    print("\nGPUs taken away: expected GPU hours, and what that adds")
    for rate in rates:
        losses = []
        for name, jobs in cases.items():
            plain, longer = (sum(job.gpus * job.seconds for job in own) for own in (jobs, preempted(jobs, rate)))
            losses.append(f"{name} {longer / 3600:.2f} (+{longer / plain - 1:.1%})")
        print(f"  {rate:g} times an hour: {'; '.join(losses)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", default="h100")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", nargs="+", default=["medd"], help="whose decodings are sharded")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--queue-wait", type=float, default=30.0, help="seconds before each submitted job starts")
    parser.add_argument("--load", type=float, default=LOAD, help="bytes of weights read a second")
    parser.add_argument(
        "--preemptions", type=float, nargs="+", default=[0.05, 0.2, 1.0], help="times an hour that a GPU is taken away"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path, help="a PNG")
    arguments = parser.parse_args()
    jobs, config = workload(arguments.gpu, arguments.seeds, arguments.load)
    result: dict = {"arguments": {key: str(value) for key, value in vars(arguments).items()}, "scenarios": {}}
    for name, (own, options) in scenarios(
        jobs, config, arguments.tasks, arguments.shards, arguments.queue_wait
    ).items():
        widest = max(job.gpus for job in own)
        rows = [measured(own, gpus, options) for gpus in arguments.gpus if gpus >= widest]
        print_rows(name, rows, own)
        result["scenarios"][name] = rows
    cases = {"jobs as they are": jobs, "in shards": cut(jobs, arguments.tasks, arguments.shards, BASELINES)}
    tell_rules(jobs)
    tell_preemptions(arguments.preemptions, cases)
    if arguments.figure:
        from figure import draw

        names = list(result["scenarios"])
        draw(result["scenarios"][names[0]], result["scenarios"][names[3]], arguments, arguments.figure)
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from measure import write

    write(arguments.json, result)


if __name__ == "__main__":
    main()
