"""The DAG that the simulation of many GPUs is fed with is Snakemake's own."""

import sys
from collections import Counter
from itertools import pairwise

import pytest
from places import ROOT

# For these imports alone: processes that tests spawn inherit the path.
sys.path.insert(0, str(ROOT / "benchmarks/scheduling"))


from list_schedule import schedule
from schedule import workload

sys.path.remove(str(ROOT / "benchmarks/scheduling"))


@pytest.mark.workflow
def test_the_dag_is_snakemakes_own(tmp_path):

    (tmp_path / "Snakefile").symlink_to(ROOT / "Snakefile")
    for name in ("workflow", "config", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    jobs, config = workload("h100", 2, 2e9, tmp_path)
    counts, cells = Counter(job.rule for job in jobs), 2 * len(config.cells)
    for rule in ("optimize", "after", "grade_after", "metrics", "analyse"):
        assert counts[rule] == cells == 52
    assert counts["before"] == counts["baselines"] == counts["grade_before"] == 16
    assert (counts["sensitivity"], counts["data"], counts["all"]) == (14, 4, 1)
    assert all(
        job.gpus == (job.rule in ("before", "baselines", "optimize", "after", "analyse", "sensitivity")) for job in jobs
    )
    assert all(0 < job.fixed <= job.seconds or job.rule == "data" for job in jobs)
    first = {job.rule: [jobs[need].rule for need in job.needs] for job in jobs}
    assert first["optimize"] == ["data"]
    assert sorted(first["after"]) == ["data", "optimize"]
    assert {"grade_after", "grade_before", "optimize", "data"} <= set(first["metrics"])
    makespans = [schedule(jobs, gpus).makespan for gpus in (1, 2, 4, 8)]
    assert all(after < before for before, after in pairwise(makespans))
