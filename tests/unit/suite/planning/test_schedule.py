"""The simulation of many GPUs: list scheduling by hand and by its theorems, and the DAG that it is fed with."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT

# For these imports alone: processes that tests spawn inherit the path.
sys.path.insert(0, str(ROOT / "benchmarks/scheduling"))


from list_schedule import Job, critical_path, in_order, schedule
from reshape import grouped, preempted, sharded, widened

sys.path.remove(str(ROOT / "benchmarks/scheduling"))
FORK = [Job("a", 2), Job("b", 3, needs=(0,)), Job("c", 4, needs=(0,)), Job("d", 1, needs=(1, 2))]


@pytest.mark.parametrize(("gpus", "starts"), [(1, [0, 6, 2, 9]), (2, [0, 2, 2, 6])])
def test_a_fork_by_hand(gpus, starts):
    done = schedule(FORK, gpus)
    assert done.starts == starts
    assert done.makespan == {1: 10, 2: 7}[gpus]
    assert done.utilisation == pytest.approx(10 / (gpus * done.makespan))
    assert critical_path(FORK) == (7, [0, 2, 3])


def test_the_longest_chain_goes_first():
    jobs = [Job("short", 1), Job("head", 1), Job("tail", 5, needs=(1,))]
    assert schedule(jobs, 1).starts == [6, 0, 1]
    assert schedule(jobs, 1, longest_first=False).starts == [0, 1, 2]
    wide = [Job("one", 2), Job("both", 2, gpus=2), Job("small", 1)]
    assert schedule(wide, 2).makespan == 4
    with pytest.raises(ValueError, match="more than 1 GPU"):
        schedule(wide, 1)


def test_a_queue_costs_its_wait_for_each_job_of_a_chain():
    chain = [Job("a", 1), Job("b", 1, needs=(0,))]
    assert schedule(chain, 1, wait=30).makespan == 62
    assert critical_path(chain, wait=30)[0] == 62
    assert critical_path([]) == (0, [])


def test_jobs_without_a_gpu_hold_none():
    jobs = [Job("cpu", 5, gpus=0), Job("cpu too", 5, gpus=0), Job("gpu", 5)]
    assert schedule(jobs, 1, slots=2).makespan == 5
    assert schedule(jobs, 1, slots=1).makespan == 10
    assert schedule(jobs, 1).busy == 5


def test_a_circle_is_refused():
    with pytest.raises(ValueError, match="circle"):
        in_order([Job("a", 1, needs=(1,)), Job("b", 1, needs=(0,))])


@st.composite
def dags(draw, widest=1):
    """Jobs of whole seconds, each waiting for some of those before it."""
    count = draw(st.integers(1, 25))
    jobs = []
    for place in range(count):
        needs = draw(st.sets(st.integers(0, place - 1), max_size=3)) if place else set()
        seconds, gpus = draw(st.integers(1, 50)), draw(st.integers(1, widest))
        jobs.append(Job(str(place), float(seconds), gpus, tuple(sorted(needs))))
    return jobs


@given(dags(), st.integers(1, 8), st.booleans())
def test_grahams_bounds(jobs, gpus, longest_first):
    done = schedule(jobs, gpus, longest_first=longest_first)
    work, path = sum(job.seconds for job in jobs), critical_path(jobs)[0]
    assert max(path, work / gpus) - 1e-9 <= done.makespan <= work / gpus + path * (1 - 1 / gpus) + 1e-9


@given(dags(widest=3), st.integers(3, 6), st.integers(0, 9))
def test_order_and_gpus_are_kept(jobs, gpus, wait):
    done = schedule(jobs, gpus, wait=float(wait))
    for place, job in enumerate(jobs):
        assert done.ends[place] == done.starts[place] + job.seconds
        assert done.starts[place] >= max((done.ends[need] for need in job.needs), default=0) + wait
    for moment in done.starts:
        running = [
            job.gpus for job, start, end in zip(jobs, done.starts, done.ends, strict=True) if start <= moment < end
        ]
        assert sum(running) <= gpus
    assert done.makespan >= critical_path(jobs, float(wait))[0] - 1e-9


CELL = {"dataset": "medd", "model": "m", "seed": "0"}
TABLE = [
    Job("before", 86, 1, (), 6, "before", {"task": "medd", "model": "m"}),
    Job("optimize", 20, 1, (), 6, "optimize", CELL),
    Job("after", 86, 1, (1,), 6, "after", CELL),
    Job("grade_after", 6, 0, (2,), 6, "grade_after", CELL),
    Job("metrics", 6, 0, (0, 3), 6, "metrics", CELL),
    Job("table2", 6, 0, (4,), 6, "table2"),
]


def test_shards_halve_the_work_and_not_the_start():
    jobs = sharded(TABLE, "medd", 8)
    assert len(jobs) == len(TABLE) + 16
    assert {job.seconds for job in jobs if job.rule == "after" and job.gpus} == {16}
    assert sum(job.gpus * job.seconds for job in jobs) == 20 + 16 * 16
    assert schedule(jobs, 16).makespan == 20 + 16 + 6 + 3 * 6
    assert sharded(TABLE, "imdb", 8) == TABLE == sharded(TABLE, "medd", 1)


def test_a_cell_as_one_job_waits_once():
    jobs = grouped(TABLE)
    assert [job.seconds for job in jobs] == [86, 118, 6]
    assert [job.needs for job in jobs] == [(), (0,), (1,)]
    assert sum(job.seconds for job in grouped(TABLE, one_process=True)) == 210 - 3 * 6
    assert [job.gpus for job in widened(TABLE, 2, lambda model: model == "m")] == [2, 2, 2, 0, 0, 0]


def test_a_job_that_goes_on_loses_its_start_and_others_begin_again():
    jobs = preempted(TABLE, 3600 / 86)
    assert jobs[1].seconds == pytest.approx(20 * (1 + 6 / 86))
    assert jobs[2].seconds == pytest.approx(86 * 1.71828, rel=1e-4)
    assert [job.seconds for job in jobs[3:]] == [6, 6, 6]
    assert preempted(TABLE, 0) == TABLE
