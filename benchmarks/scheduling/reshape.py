"""The same work in another shape: shards of a decoding, a cell's jobs as one, several GPUs for a large model, lost GPUs."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from math import expm1

from list_schedule import Job, in_order

CELL_RULES = ("optimize", "after", "grade_after", "metrics", "analyse")
RESUMED = ("optimize", "sensitivity")  # go on from their last step; all others begin again
GATHER = 6.0  # seconds of a job that only puts files together


def sharded(jobs: Sequence[Job], task: str, shards: int, rules: Collection[str] = ("before", "after")) -> list[Job]:
    """The task's jobs of these rules as ``shards`` jobs each, and one that gathers their answers under the old place."""
    if shards < 2:
        return list(jobs)
    found = list(jobs)
    for place, job in enumerate(jobs):
        if job.rule not in rules or not job.gpus or task not in (job.cell.get("task"), job.cell.get("dataset")):
            continue
        part = replace(job, seconds=job.fixed + (job.seconds - job.fixed) / shards)
        parts = tuple(range(len(found), len(found) + shards))
        found += [replace(part, name=f"{job.name} {number + 1}/{shards}") for number in range(shards)]
        found[place] = replace(job, name=f"gather {job.name}", seconds=GATHER, fixed=GATHER, gpus=0, needs=parts)
    return found


def grouped(jobs: Sequence[Job], one_process: bool = False) -> list[Job]:
    """The jobs of a cell and seed as one job, one after the other; in one process they load their model once."""
    places: dict[tuple[str, ...], list[int]] = {}
    for place in in_order(jobs):
        job = jobs[place]
        whole = job.rule in CELL_RULES and job.gpus <= 1 and "seed" in job.cell
        key = ("cell", job.cell["dataset"], job.cell["model"], job.cell["seed"]) if whole else ("job", str(place))
        places.setdefault(key, []).append(place)
    new_place = {old: new for new, group in enumerate(places.values()) for old in group}
    found = []
    for new, group in enumerate(places.values()):
        own = [jobs[place] for place in group]
        spared = sum(job.fixed for job in own) - max(job.fixed for job in own) if one_process else 0.0
        found.append(
            replace(
                own[0],
                name=own[0].name if len(own) == 1 else "cell " + own[0].name.partition(" ")[2],
                seconds=sum(job.seconds for job in own) - spared,
                gpus=max(job.gpus for job in own),
                needs=tuple(sorted({new_place[need] for job in own for need in job.needs} - {new})),
            )
        )
    return found


def widened(jobs: Sequence[Job], gpus: int, large: Callable[[str], bool]) -> list[Job]:
    """Several GPUs for the jobs of large models: layers in turn on one GPU after the other, so that no job gets faster."""
    return [
        replace(job, gpus=gpus) if job.gpus and "model" in job.cell and large(job.cell["model"]) else job
        for job in jobs
    ]


def preempted(jobs: Sequence[Job], rate: float) -> list[Job]:
    """Expected seconds of each job where its GPU is taken away ``rate`` times an hour, at random, and given back at once.

    A job of T seconds that begins again takes (exp(rT) - 1) / r on the average, one that goes on T (1 + r · its start).
    """
    a_second = rate / 3600

    def expected(job: Job) -> float:
        if not job.gpus or not rate:
            return job.seconds
        if job.rule in RESUMED:
            return job.seconds * (1 + a_second * job.fixed)
        return expm1(a_second * job.seconds) / a_second

    return [replace(job, seconds=expected(job)) for job in jobs]
