"""Steps of rows that share lanes against a simulation of the lanes; and what the whole table would take."""

import heapq
import random

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT

from embedgrad.planning.durations import HANDED, Durations
from embedgrad.planning.forecast import forecast
from embedgrad.planning.gpus import named_gpu
from embedgrad.planning.queues import Queue, at_once, blocks, decoding_seconds, one_by_one, steps
from embedgrad.planning.resources import Resources
from embedgrad.planning.run_config import RunConfig
from embedgrad.planning.work import Work
from embedgrad_core.model.costs import Shape

PAPER = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))


def work(answer, limit, levels=(1.0,)):
    return Work(80, 20, 100, 20, 50, 5, answer, limit, answer, levels)


def simulated(lengths, lanes):
    """Steps until the last row has ended: a lane that comes free takes the next row."""
    ends = [0] * lanes
    for length in lengths:
        heapq.heapreplace(ends, ends[0] + length)
    return max(ends)


@given(st.integers(1, 200), st.integers(1, 64), st.integers(2, 300), st.integers(0, 2**32 - 1))
def test_steps_are_bounded_from_above_and_nearly_reached(rows, lanes, limit, seed):
    """Of answers of any lengths up to the limit with a known sum: Graham's bound; with one at the limit begun last it is met."""
    chance = random.Random(seed)
    lengths = [chance.randint(1, limit) for _ in range(rows - 1)] + [limit]
    mean = sum(lengths) / rows
    lanes = min(lanes, rows)
    taken, full = steps(Queue(rows, 0), work(mean, limit), lanes)
    worst = max(sum(lengths[:-1]), 0) / lanes + limit  # all lanes full until the last row begins
    assert full == pytest.approx((rows - lanes) * mean)
    assert simulated(lengths, lanes) <= worst + 1e-6
    assert limit <= taken <= worst + limit
    if rows == lanes:
        assert taken == simulated(lengths, lanes) == limit


def test_rows_of_one_level_wait_for_no_other_and_one_queue_takes_fewer_steps():
    maths = work(900, 2048, (0.1, 0.2, 0.2, 0.25, 0.25))
    assert blocks(250, maths, 256) == [25, 50, 50, 62, 62]
    assert blocks(2080, work(200, 512), 256) == [256] * 8 + [32]
    apart, together = one_by_one([250, 50], maths, 256), at_once(300, maths)
    each = [sum(steps(queue, maths, min(256, queue.rows))[0] for queue in queues) for queues in (apart, together)]
    assert each[0] == 10 * 2048
    assert each[1] == pytest.approx(44 * 900 / 256 + 2048)
    shape = Shape(28, 3584, 18_944, 28, 4, 128, 152_064, tied=False)
    long, short = (decoding_seconds(shape, maths, queues, 256, 2, named_gpu("h200")) for queues in (apart, together))
    assert long > 6 * short


def minutes(gpu, **changed):
    config = RunConfig.check({**PAPER, **changed})
    resources = Resources(config, gpu)
    rows = forecast(config, named_gpu(gpu), resources)
    return sum(row.train_seconds + row.decode_seconds for row in rows) / 60


def test_the_whole_table_is_forecast_under_an_hour_on_one_gpu():
    """At 40 % of the data sheet's rates, with the rows that fit; the sensitivity stands in docs/performance.md."""
    assert minutes("h200") < 60
    assert minutes("h100") < 75


def test_a_kept_model_is_loaded_once_and_its_jobs_only_handed_over():
    config = RunConfig.check(PAPER)
    durations = Durations(config, named_gpu("h200"), Resources(config, "h200"))
    models = dict.fromkeys(cell.model for cell in config.cells)
    pairs = dict.fromkeys((cell.task, cell.model) for cell in config.cells)
    fixed = {model: durations.fixed("before", {"task": "medd", "model": model}) for model in models}
    jobs = {
        model: 3 * sum(cell.model == model for cell in config.cells) + 2 * sum(pair[1] == model for pair in pairs)
        for model in models
    }
    spared = sum((jobs[model] - 1) * (fixed[model] - HANDED) for model in models) / 60
    assert minutes("h200", cell_jobs="apart") - minutes("h200") == pytest.approx(spared)
    assert 15 < spared < 60
    # Where another engine holds the weights, each job has its own.
    vllm = {"decode": PAPER["decode"] | {"engine": "vllm"}}
    assert minutes("h200", **vllm) == pytest.approx(minutes("h200", cell_jobs="apart", **vllm))
