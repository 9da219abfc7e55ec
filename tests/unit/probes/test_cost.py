"""What a point costs, on numbers that can be summed by hand."""

import pytest

from embedgrad.commands.probe.cost import _jobs
from embedgrad.probes.cost import cost
from embedgrad.reporting.probes.cost import NOT_MEASURED, lines
from embedgrad.reporting.results.probes import Ranged
from embedgrad_core.files import UserError

HISTORY = [
    {"epoch": 0, "seconds": 2.0, "tokens_per_s": None},
    {"epoch": 1, "seconds": 10.0, "tokens_per_s": 30.0},
    {"epoch": 2, "seconds": 8.0, "tokens_per_s": 37.5},
]


def metrics(points=10.0, interval=(5.0, 20.0), **optimize):
    runs = {
        "optimize": {"seconds": 12.0, "peak_memory_bytes": 5} | optimize,
        "before": {"new_tokens": 7},
        "after": None,
    }
    return {"n": 84, "run": runs, "delta": {"points": points, "newcombe": list(interval)}}


def test_a_resumed_run_costs_all_its_epochs():
    found = cost(metrics(), HISTORY, {})
    assert found["steps"]["optimize"] | {"cpu_seconds": None} == {
        "seconds": 20.0,  # its own clock, 12, was started again when it went on
        "cpu_seconds": None,
        "tokens": 600,
        "peak_memory_bytes": 5,
        "energy_joules": None,
    }
    assert found["optimisation"]["per_point"] == {
        "seconds": [2.0, 1.0, 4.0],
        "cpu_seconds": None,
        "tokens": [60.0, 30.0, 120.0],
        "energy_joules": None,
    }


def test_shards_are_summed_and_the_fullest_counts():
    jobs = {
        "before": [{"s": 1.5, "cpu_time": 1.0, "max_rss": 3.0}, {"s": 2.0, "cpu_time": 1.0}],
        "optimize": [{"s": 30.0}],
    }
    found = cost(metrics(), HISTORY, jobs)["steps"]
    assert found["before"] == {
        "seconds": 3.5,
        "cpu_seconds": 2.0,
        "tokens": 7,
        "peak_memory_bytes": 3 * 2**20,
        "energy_joules": None,
    }
    assert found["optimize"]["seconds"] == 30.0
    assert found["analyse"]["seconds"] is None


def test_chains_are_paid_for_where_they_were_made():
    found = cost(metrics(), HISTORY, {"chains": [{"s": 30.0}]})
    assert found["steps"]["chains"]["seconds"] == 30.0
    assert found["optimisation"]["per_point"]["seconds"] == [5.0, 2.5, 10.0]
    assert [line["step"] for line in lines(found)] == ["chains", "optimize"]
    assert "chains" not in cost(metrics(), HISTORY, {"chains": []})["steps"]


@pytest.mark.parametrize(("points", "interval"), [(0.0, (-3.0, 3.0)), (-4.0, (-9.0, -1.0))])
def test_no_gain_has_no_price(points, interval):
    best, _, most = cost(metrics(points, interval), HISTORY, {})["optimisation"]["per_point"]["seconds"]
    assert best is None
    assert most is None


def test_energy_is_shown_where_it_was_measured():
    measured = cost(metrics(energy_cpu_joules=20.0, energy_gpu_joules=30.0), HISTORY, {})
    assert measured["optimisation"]["per_point"]["energy_joules"] == [5.0, 2.5, 10.0]
    (optimize,) = (line for line in lines(measured) if line["step"] == "optimize")
    assert optimize["energy_joules"] == 50.0
    assert optimize["seconds_per_point"] == Ranged(2.0, 1.0, 4.0, digits=2)
    (optimize,) = (line for line in lines(cost(metrics(), HISTORY, {})) if line["step"] == "optimize")
    assert optimize["energy_joules"] == NOT_MEASURED
    assert "energy_joules_per_point" not in optimize


def test_benchmark_files_of_a_step(tmp_path):
    head = "s\th:m:s\tmax_rss\tcpu_time\n"
    for name, row in (("mood/tiny", "2.5\t0:00:02\t100.5\t2.0"), ("mood/tiny.1-of-2", "1\t0:00:01\tNA\t-")):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + row + "\n")
    assert _jobs(tmp_path, ["mood/tiny", "mood/other"]) == [{"s": 2.5, "max_rss": 100.5, "cpu_time": 2.0}, {"s": 1.0}]
    (tmp_path / "mood/tiny.tsv").write_text("s\n")
    with pytest.raises(UserError, match=r"tiny\.tsv: not a benchmark file"):
        _jobs(tmp_path, ["mood/tiny"])
