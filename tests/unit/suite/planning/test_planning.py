"""Forecasts against what is counted and measured; access against a local server that speaks the hub's protocol."""

import logging
import re
from math import ceil

import pytest
import yaml
from places import ROOT

from embedgrad.carry.effort import carry_jobs
from embedgrad.planning.access import look_up_data
from embedgrad.planning.durations import Durations
from embedgrad.planning.effort.rivals import rival_jobs
from embedgrad.planning.forecast import forecast, outlook
from embedgrad.planning.gpus import GPUS, named_gpu
from embedgrad.planning.lookups import Lookups
from embedgrad.planning.pace import Pace
from embedgrad.planning.resources import Resources
from embedgrad.planning.run_config import RunConfig
from embedgrad.planning.work import work_of
from embedgrad_core.files import UserError


@pytest.fixture(scope="session")
def caches(tmp_path_factory):
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(autouse=True)
def _measured_once(caches, monkeypatch):
    """What every job takes here is kept for these tests, and not where the user's own figures are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches))


def test_latency_is_forecast_by_its_own_few_rows_and_lengths():
    values = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"))
    values["rivals"] = {"cells": ["mood/tiny-0.2m"], "seeds": [0], "methods": ["lora", "self_refine_4"]}
    config = RunConfig.check(values)
    machine = config.resources.machine(has_gpus=False)
    jobs = [
        ("rival_cost", {"dataset": "mood", "model": "tiny-0.2m", "rival": name}) for name in ("lora", "self_refine_4")
    ]
    # A warm-up and five repeats of three items, text prompt and method: 36 calls of 32 tokens; with 8 more calls an answer 180.
    assert outlook(config, jobs, machine).startswith(f"0 tokens to train on, {(36 + 180) * 32:,} to answer: ")
    durations = Durations(config, machine, config.resources)
    lora, refine = (durations.seconds(*job) - durations.fixed(*job) for job in jobs)
    assert refine == pytest.approx(5 * lora)
    # One row at a time: no row shares its reading of the weights, as those of the usual batches do.
    answer = ("rival_answer", jobs[0][1])
    work, answering = durations.work(jobs[0][1]), durations.seconds(*answer) - durations.fixed(*answer)
    assert lora / (36 * 32) > answering / (work.test * work.answer)
    assert Lookups(config).rival_costs() == [
        f"results/demo/rivals/mood/tiny-0.2m/{name}/cost.json" for name in ("lora", "self_refine_4")
    ]


def test_carried_prompts_are_forecast_by_their_steps_and_readings():
    values = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"))
    cells = ["mood/tiny-0.2m", "mood/tiny-0.8m", "arithmetic/tiny-0.2m"]
    values["carry"] = {"cells": cells, "steps": 10, "controls": 3, "budget": 600}
    config = RunConfig.check(values)
    jobs = list(carry_jobs(config))
    assert [(rule, job["dataset"], job.get("source"), job["model"]) for rule, job in jobs] == [
        ("carry_transfer", "arithmetic", "tiny-0.2m", "tiny-0.2m"),
        *(
            ("carry_transfer", "mood", one, other)
            for one in ("tiny-0.2m", "tiny-0.8m")
            for other in ("tiny-0.2m", "tiny-0.8m")
        ),
        ("carry_words", "arithmetic", None, "tiny-0.2m"),
        ("carry_words", "mood", None, "tiny-0.2m"),
        ("carry_words", "mood", None, "tiny-0.8m"),
    ]
    durations = Durations(config, config.resources.machine(has_gpus=False), config.resources)
    work = durations.work(jobs[1][1])
    # Labels are read: eight prompts on test, two dev losses of each training; twice ten steps of eight items are thrice as dear.
    forwards = 8 * work.test + 4 * work.dev + 2 * 10 * 8 * 3
    assert durations.effort(*jobs[1]) == (ceil(forwards / (3 * work.train)), 0)
    # Arithmetic has to be decoded under each of eight prompts.
    assert durations.effort(*jobs[0])[1] == 8 * durations.work(jobs[0][1]).test
    assert durations.seconds(*jobs[2]) > durations.seconds(*jobs[1]), (
        "the larger one is the model that is trained and read"
    )
    values["carry"]["budget"] = 0
    assert {rule for rule, _ in carry_jobs(RunConfig.check(values))} == {"carry_transfer"}


def test_the_papers_own_counts():
    config = RunConfig.read(ROOT / "config" / "paper.yaml").values
    for task, test in {"math500": 250, "imdb": 84, "medd": 2080, "causal_judgment": 95}.items():
        work = work_of(task, config["tasks"][task], config["split"], None, 151_936)
        assert (work.test, work.train + work.dev) == (test, test - (task == "medd"))


def test_tokens_are_those_of_the_models_own_tokenizer():
    """MEDD is Chinese: an English tokenizer cuts it into bytes. A vocabulary that is not recorded counts as the nearest."""
    config = RunConfig.read(ROOT / "config" / "laptop.yaml").values

    def tokens(vocabulary):
        return [
            work_of(task, config["tasks"][task], config["split"], None, vocabulary).input
            for task in ("medd", "causal_judgment")
        ]

    assert [tokens(size) for size in (151_936, 152_064, 128_256, 49_152)] == [
        [14, 203],
        [14, 203],
        [18, 201],
        [40, 205],
    ]
    assert tokens(32_000) == tokens(49_152)


def test_optimised_prompts_answer_as_their_targets_are():
    """A label in place of a chain of thought; a solution stays one."""
    config = RunConfig.read(ROOT / "config" / "paper.yaml")
    durations = Durations(config, named_gpu("h100"), config.resources)
    label = {"dataset": "medd", "task": "medd", "model": "qwen2.5-14b-instruct"}
    maths = {"dataset": "math500", "task": "math500", "model": "qwen2.5-math-7b"}
    assert [durations.work(label, rule).answer for rule in ("after", "before", "analyse")] == [3, 200, 200]
    assert [durations.work(maths, rule).answer for rule in ("after", "before")] == [900, 900]
    assert durations.seconds("after", label) < durations.seconds("before", label) / 3


def test_larger_models_and_gpus():
    config = RunConfig.read(ROOT / "config" / "paper.yaml")
    rows = {row.cell: row for row in forecast(config, named_gpu("h100"))}
    assert len(rows) == 26
    small, middle, large = (rows[f"imdb/qwen2.5-{size}-instruct"] for size in ("0.5b", "7b", "14b"))
    for key in ("memory", "train_seconds", "decode_seconds"):
        assert getattr(small, key) < getattr(middle, key) < getattr(large, key)
    assert all(row.fits for row in rows.values())
    assert 2 * 14.7e9 < large.memory < 45e9
    slow = {row.cell: row for row in forecast(config, named_gpu("t4"))}
    assert not slow[large.cell].fits
    assert slow[large.cell].train_seconds > large.train_seconds
    # "before" and the ladder are decoded once for all levels of a task.
    assert rows["math500-L1/qwen2.5-math-7b"].decode_tokens < rows["math500/qwen2.5-math-7b"].decode_tokens / 20
    with pytest.raises(UserError, match="no such GPU; known are h200"):
        named_gpu("abacus")
    assert all(gigabytes > 0 and rate > 0 for gigabytes, rate, _ in GPUS.values())


def test_the_outlook_of_all_jobs_is_the_forecast_of_all_cells():
    """The workflow's sentence counts job by job what the plan counts cell by cell; seeds count as often as they are."""
    config = RunConfig.read(ROOT / "config" / "paper.yaml")
    machine = named_gpu("h100")
    rows = forecast(config, machine)
    pairs = dict.fromkeys((cell.task, cell.model) for cell in config.cells)
    once = [(rule, {"task": task, "model": model}) for rule in ("before", "baselines") for task, model in pairs]
    each = [
        (rule, {"dataset": cell.dataset, "model": cell.model, "seed": seed})
        for rule in ("optimize", "after", "analyse", "grade_after")
        for cell in config.cells
        for seed in "01"
    ]
    alone, both = (
        [
            int(number.replace(",", ""))
            for number in re.findall(r"([\d,]+)(?: tokens)? to ", outlook(config, jobs, machine))
        ]
        for jobs in (once + each[::2], once + each)
    )
    assert alone == [sum(row.train_tokens for row in rows), sum(row.decode_tokens for row in rows)]
    assert both[0] == 2 * alone[0]
    assert alone[1] < both[1] < 2 * alone[1]
    assert outlook(config, [("data", {"task": "imdb"})], machine) == ""


def test_data_sets_are_looked_up(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ConnectionError

    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert look_up_data("mood", {}, tmp_path).where == "made by the run"
    partial = look_up_data("imdb", {}, tmp_path)
    assert partial.where == ""
    assert "imdb_subset.jsonl: no such file in the mirror; put imdb_subset.jsonl" in partial.missing
    told = look_up_data("imdb", {}, None, offline=True).missing
    assert "stanfordnlp/imdb is not cached at the commit of tasks.imdb.revision, and the hub was not asked" in told
    assert "a mirror folder that holds data/imdb_subset.jsonl" in told
    assert "not asked" in look_up_data("medd", {"revision": "a" * 40}, None, offline=True).missing
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", fail)
    assert "the hub cannot be reached (" in look_up_data("imdb", {}, None).missing


def test_the_time_left_is_the_forecast_at_the_pace_so_far():
    """Jobs of 10, 30 and 60 s by forecast. The first takes 20 s: twice its forecast, as then the others will."""
    seconds, lines = [100.0], []
    pace = Pace({4: 10.0, 5: 30.0, 9: 60.0}, lines.append, lambda: seconds[0])
    logger = logging.Logger("jobs")
    logger.addHandler(pace)

    def ended(job, at):
        seconds[0] = 100.0 + at
        logger.info("Finished", extra={"event": "job_finished", "job_id": job})
        logger.info(None, extra={"event": "progress", "done": 1, "total": 9})

    ended(7, 5)  # one that nothing was forecast of
    assert lines == []
    ended(4, 20)
    ended(5, 40)
    ended(9, 300)
    # 90 s at 20 s for 10; 60 s at 40 s for 40.
    assert lines == ["about 3 min left at this pace", "about 60 s left at this pace"]


def test_the_outlook_of_a_named_gpu_is_of_what_fits_on_it():
    """On a small GPU activations are computed again, which takes half as much again to train; on a large one they are kept."""
    values = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text(encoding="utf-8"))
    values["optimize"].pop("checkpointing")  # as it fits, not as a rule
    values["rivals"] = {"cells": ["math500/qwen2.5-math-7b"], "seeds": [0], "methods": ["lora"]}
    values["optimize"] = values["optimize"] | {"folds": 0}
    config = RunConfig.check(values)
    jobs, machine = list(rival_jobs(config)), named_gpu("h200")
    small, large = (Resources(config, gpu) for gpu in ("a10", "h200"))
    assert small.checkpointing("qwen2.5-math-7b")
    assert not large.checkpointing("qwen2.5-math-7b")
    assert outlook(config, jobs, machine, small) != outlook(config, jobs, machine, large)
    assert outlook(config, jobs, machine, config.resources) == outlook(config, jobs, machine)
