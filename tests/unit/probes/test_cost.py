"""What a point costs, on numbers that can be summed by hand."""

import pytest

from embedgrad.commands.probe.cost import _jobs
from embedgrad.probes.cost import cost
from embedgrad.reporting.probes.cost import NOT_MEASURED, lines, sentence
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.probes import Probed, Ranged
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
        "reason": None,
    }
    assert found["optimisation"]["per_point"] == {
        "tokens": [60.0, 30.0, 120.0],
        "seconds": [2.0, 1.0, 4.0],
        "cpu_seconds": None,
        "energy_joules": None,
    }


def test_what_only_the_last_start_of_a_resumed_run_used_is_left_out():
    """Trained for 20 seconds, of which Snakemake and the job's own clock saw the last 12."""
    jobs = {"optimize": [{"s": 12.5, "cpu_time": 11.0}]}
    found = cost(metrics(energy_cpu_joules=50.0), HISTORY, jobs)
    optimize = found["steps"]["optimize"]
    assert (optimize["seconds"], optimize["cpu_seconds"], optimize["energy_joules"]) == (20.0, None, None)
    assert optimize["reason"] == (
        "resumed; CPU seconds of the last start alone: its clock shows 12 of 20 seconds; energy of the last start alone: its clock "
        "shows 12 of 20 seconds"
    )
    each = found["optimisation"]["per_point"]
    assert (each["seconds"], each["cpu_seconds"], each["energy_joules"]) == ([2.0, 1.0, 4.0], None, None)
    (line,) = lines(found)
    assert (line["note"], line["cpu_seconds"], line["energy_joules"]) == (optimize["reason"], None, None)
    assert "cpu_seconds_per_point" not in line
    # The benchmark has the loading of the model as well; a clock that is a little short of the epochs' is rounding.
    for clock in (12.0, 19.0, 25.0):
        whole = cost(metrics(seconds=20.0), HISTORY, {"optimize": [{"s": clock, "cpu_time": 11.0}]})["steps"][
            "optimize"
        ]
        assert (whole["cpu_seconds"] is None, whole["reason"] is None) == (clock == 12, clock != 12)


def test_a_step_that_answered_before_it_was_resumed_shows_no_cpu_seconds_either():
    run = metrics() | {"run": metrics()["run"] | {"after": {"seconds": 463.0, "new_tokens": 168}}}
    after = cost(run, HISTORY, {"after": [{"s": 60.0, "cpu_time": 44.8}]})["steps"]["after"]
    assert (after["seconds"], after["cpu_seconds"]) == (463.0, None)
    assert "60 of 463" in after["reason"]


def test_a_part_is_not_taken_for_all():
    jobs = {"chains": [{"s": 30.0, "cpu_time": 25.0}], "optimize": [{"s": 12.0, "cpu_time": 11.0}]}
    each = cost(metrics(), HISTORY, jobs)["optimisation"]["per_point"]
    assert (each["cpu_seconds"], each["tokens"], each["seconds"]) == (None, None, [5.0, 2.5, 10.0])
    two = cost(metrics(), HISTORY, {"before": [{"s": 1.5, "cpu_time": 1.0}, {"s": 2.0}]})["steps"]["before"]
    assert (two["seconds"], two["cpu_seconds"]) == (3.5, None), "Snakemake could not tell one shard's"


def probed(name, found):
    return Probed(Cell(name, name, None, "tiny", None, None, None, 0.01, 1), 0, found)


def test_tokens_come_first_in_the_sentence():
    whole = cost(metrics(), HISTORY, {"optimize": [{"s": 25.0, "cpu_time": 15.0}]})
    long = [line | {"seconds": 1000 * line["seconds"]} for line in HISTORY]
    dear, none = cost(metrics(), long, {}), cost(metrics(-4.0, (-9.0, -1.0)), HISTORY, {})
    assert sentence([probed("dear", dear), probed("cheap", whole), probed("worse", none)]) == (
        "A point took 60 tokens of training on cheap/tiny (2.5 seconds by the clock, 1.5 CPU seconds), on dear/tiny 60,000; "
        "1 of 3 cells gained nothing for it."
    )
    assert sentence([probed("worse", none)]) == "No cell gained a point; 1 of 1 cells gained nothing for it."
    chains = cost(metrics(), HISTORY, {"chains": [{"s": 30.0}]})
    assert sentence([probed("chains", chains)]) == "A point took 5 seconds by the clock on chains/tiny."


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
        "reason": None,
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
    measured = cost(metrics(seconds=20.0, energy_cpu_joules=20.0, energy_gpu_joules=30.0), HISTORY, {})
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
