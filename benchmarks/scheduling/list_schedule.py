"""List scheduling of a DAG of jobs on a number of GPUs: a job starts when its inputs are there and what it needs is free."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        name: for people.
        seconds: from its start to its end.
        gpus: held while it runs; a job without one takes one of the CPU slots.
        needs: places in the list of the jobs that it waits for.
        fixed: the part of ``seconds`` before its work starts (imports, weights).
        rule: of the workflow.
        cell: what its wildcards name.
    """

    name: str
    seconds: float
    gpus: int = 1
    needs: tuple[int, ...] = ()
    fixed: float = 0.0
    rule: str = ""
    cell: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """When each job ran.

    Attributes:
        starts: seconds, in the order of the jobs.
        ends: seconds.
        gpus: that there are.
        busy: GPU seconds in use.
    """

    starts: list[float]
    ends: list[float]
    gpus: int
    busy: float

    @property
    def makespan(self) -> float:
        """Seconds until the last job has ended."""
        return max(self.ends, default=0.0)

    @property
    def utilisation(self) -> float:
        """Part of all GPU seconds up to the end in which a job held the GPU."""
        return self.busy / (self.gpus * self.makespan) if self.makespan else 0.0


def in_order(jobs: Sequence[Job]) -> list[int]:
    """The jobs' places, each after all that it needs.

    Raises:
        ValueError: they wait for one another in a circle.
    """
    waiting, users = [len(job.needs) for job in jobs], _users(jobs)
    found = [place for place, count in enumerate(waiting) if not count]
    for place in found:
        for user in users[place]:
            waiting[user] -= 1
            if not waiting[user]:
                found.append(user)
    if len(found) < len(jobs):
        raise ValueError("jobs wait for one another in a circle")
    return found


def tails(jobs: Sequence[Job], wait: float = 0.0) -> list[float]:
    """Seconds from each job's start to the end of the longest chain that it begins; ``wait`` stands before each other job."""
    longest, users = [0.0] * len(jobs), _users(jobs)
    for place in reversed(in_order(jobs)):
        longest[place] = jobs[place].seconds + max((wait + longest[user] for user in users[place]), default=0.0)
    return longest


def critical_path(jobs: Sequence[Job], wait: float = 0.0) -> tuple[float, list[int]]:
    """Seconds and places of the longest chain: no number of GPUs is faster."""
    longest, users = tails(jobs, wait), _users(jobs)
    first = [place for place, job in enumerate(jobs) if not job.needs]
    if not first:
        return 0.0, []
    chain = [max(first, key=longest.__getitem__)]
    while users[chain[-1]]:
        chain.append(max(users[chain[-1]], key=longest.__getitem__))
    return wait + longest[chain[0]], chain


def schedule(
    jobs: Sequence[Job], gpus: int, *, slots: int = 16, wait: float = 0.0, longest_first: bool = True
) -> Schedule:
    """Run the jobs.

    Args:
        jobs: the DAG.
        gpus: that there are.
        slots: jobs without a GPU that run at once.
        wait: seconds that a job stands in a scheduler's queue once its inputs are there.
        longest_first: of the jobs that could start, the one with the longest chain after it; else the one that has waited longest.

    Raises:
        ValueError: a job needs more GPUs than there are.
    """
    if any(job.gpus > gpus for job in jobs):
        raise ValueError(f"a job needs more than {gpus} GPUs")
    longest, users, missing = tails(jobs, wait), _users(jobs), [len(job.needs) for job in jobs]
    starts, ends = [0.0] * len(jobs), [0.0] * len(jobs)
    free, busy, now = {True: gpus, False: slots}, 0.0, 0.0
    # Events: (time, 0 an end or 1 the end of a wait, place).
    events = [(wait, 1, place) for place, count in enumerate(missing) if not count]
    heapq.heapify(events)
    ready: list[tuple[float, int]] = []
    while events:
        now = events[0][0]
        while events and events[0][0] == now:
            _, kind, place = heapq.heappop(events)
            if kind:
                heapq.heappush(ready, (-longest[place] if longest_first else now, place))
                continue
            free[jobs[place].gpus > 0] += jobs[place].gpus or 1
            for user in users[place]:
                missing[user] -= 1
                if not missing[user]:
                    heapq.heappush(events, (now + wait, 1, user))
        held_back = []
        while ready and any(free.values()):
            entry = heapq.heappop(ready)
            job = jobs[entry[1]]
            if free[job.gpus > 0] < (job.gpus or 1):
                held_back.append(entry)  # smaller ones may pass it
                continue
            free[job.gpus > 0] -= job.gpus or 1
            starts[entry[1]], ends[entry[1]] = now, now + job.seconds
            busy += job.gpus * job.seconds
            heapq.heappush(events, (now + job.seconds, 0, entry[1]))
        for entry in held_back:
            heapq.heappush(ready, entry)
    return Schedule(starts, ends, gpus, busy)


def _users(jobs: Sequence[Job]) -> list[list[int]]:
    users: list[list[int]] = [[] for _ in jobs]
    for place, job in enumerate(jobs):
        for need in job.needs:
            users[need].append(place)
    return users
