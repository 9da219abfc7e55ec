"""What the workflow's rules look up, for the runs that are shipped."""

import re
import shlex
from dataclasses import replace
from itertools import pairwise

import pytest
import yaml
from places import ROOT

from embedgrad.planning.effort.rivals import asked, rival_jobs
from embedgrad.planning.lookups import Lookups, cell_command, growing, one_of, shard_flag
from embedgrad.planning.run_config import RunConfig
from embedgrad.reporting.results.cells import Seeds
from embedgrad.rivals.table import RIVALS
from embedgrad_core.files import UserError

MODEL, MATHS = "qwen2.5-7b-instruct", "qwen2.5-math-7b"


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EMBEDGRAD_MIRROR", raising=False)


def run(name, **tasks):
    """The lookups of a shipped configuration, some keys of its tasks changed."""
    values = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8"))
    for task, keys in tasks.items():
        values["tasks"][task] |= keys
    return Lookups(RunConfig.check(values))


def test_a_pattern_fits_its_names_and_no_others():
    pattern = one_of(["qwen2.5-7b", "a|b"])
    assert [bool(re.fullmatch(pattern, name)) for name in ("qwen2.5-7b", "a|b", "qwen2x5-7b", "a", "")] == [
        1,
        1,
        0,
        0,
        0,
    ]
    assert not re.fullmatch(one_of([]), "")


def test_every_task_and_data_set_is_decoded_by_one_job_or_by_several():
    paper = run("paper", medd={"shards": 5}, math500={"shards": 2})
    for pattern, names in (
        (paper.tasks_pattern, paper.config.values["tasks"]),
        (paper.datasets_pattern, paper.config.datasets),
    ):
        for name in names:
            sharded = name.startswith(("medd", "math500"))
            assert bool(re.fullmatch(pattern(sharded=True), name)) == sharded
            assert bool(re.fullmatch(pattern(sharded=False), name)) != sharded
    assert run("demo").tasks_pattern(sharded=True) == one_of([])


def test_files_of_all_cells_tasks_and_learning_rates():
    paper = run("paper", imdb={"seeds": [3, 4]})
    cells = paper.cell_files("metrics.json")
    imdb = sum(cell.task == "imdb" for cell in paper.config.cells)
    assert len(set(cells)) == len(cells) == 26 + imdb
    assert f"results/paper/imdb/{MODEL}/seed4/metrics.json" in cells
    assert [seed for seed in range(5) if f"results/paper/math500-L1/{MATHS}/seed{seed}/metrics.json" in cells] == [0]
    tasks = paper.task_files("ladder.json")
    assert len(set(tasks)) == len(tasks) == 16
    assert f"results/paper/math500/{MATHS}/ladder.json" in tasks
    assert paper.sweep_files("optimize.jsonl") == paper.sweep_tables() == []
    demo = run("demo")
    rates = ("0.001", "0.01", "0.1")
    assert demo.sweep_files("x") == [f"results/demo/sensitivity/mood/tiny-0.2m/lr{rate}/x" for rate in rates]
    assert set(demo.report_tables()) - {name.replace("/paper/", "/demo/") for name in paper.report_tables()} == {
        "results/demo/sensitivity.csv"
    }


def test_a_levels_cell_reads_its_tasks_files():
    level, whole = {"dataset": "math500-L1", "model": MATHS, "seed": "0"}, {"task": "imdb", "model": MODEL}
    paper = run("paper")
    assert [paper.task_of(level), paper.task_of(whole)] == ["math500", "imdb"]
    assert paper.split_file("dev.jsonl")(level) == "results/paper/data/math500/dev.jsonl"
    assert paper.before_file("before.jsonl")(level) == f"results/paper/math500/{MATHS}/before.jsonl"
    assert paper.before_file("before.jsonl")(whole) == f"results/paper/imdb/{MODEL}/before.jsonl"


def test_the_models_that_the_workflow_makes_are_inputs():
    assert run("demo").model_folder({"model": "tiny-0.2m"}) == ["results/demo/models/tiny-0.2m"]
    assert run("paper").model_folder({"model": MODEL}) == []


def test_no_two_jobs_keep_their_answers_in_one_state():
    paper = run("paper")
    shards = [{"scatteritem": f"{part}-of-2"} for part in (1, 2)]
    jobs = [
        (rule, {kind: name, "model": model, **more, **shard})
        for rule, kind, more in (("before", "task", {}), ("baselines", "task", {}), ("after", "dataset", {"seed": "0"}))
        for name in ("imdb", "medd")
        for model in (MODEL, "qwen2.5-3b-instruct")
        for shard in ({}, *shards)
    ]
    states = [paper.answers_state(rule)(wildcards) for rule, wildcards in jobs]
    assert len(set(states)) == len(jobs) == 36
    assert states[0] == f"results/paper/resume/before/imdb/{MODEL}.state"


def test_a_new_try_gets_more_memory_and_time_but_no_more_gpus():
    job, whole = run("paper", medd={"shards": 5}).job_resources("before"), {"task": "medd", "model": MODEL}
    once, again = ([job[name](whole, attempt) for name in ("gpu", "mem_mb")] for attempt in (1, 2))
    assert again == [once[0], 2 * once[1]]
    minutes = job["runtime"]
    assert minutes(whole, 3) == 3 * minutes(whole, 1)
    assert minutes(whole | {"scatteritem": "1-of-5"}, 1) < minutes(whole, 1)
    assert [growing(2000)(whole, attempt) for attempt in (1, 2, 3)] == [2000, 4000, 6000]


def test_a_shard_is_named_to_its_command():
    assert shard_flag({"scatteritem": "2-of-7", "task": "medd"}) == "--shard 2-of-7"
    assert shard_flag({"task": "medd"}) == ""


def test_the_command_of_a_cell_is_one_that_a_shell_reads():
    words = shlex.split(cell_command(["my configs/a.yaml", "b.yaml"]))
    assert words == [
        *("snakemake", "--cores", "2", "--configfile", "my configs/a.yaml", "--configfile", "b.yaml", "--config"),
    ]


def test_the_null_control_is_fitted_at_the_configured_rate_too():
    """Two rates of its grid are tried, 0.003 and 0.01; the cell's own is a third where the grid has it not."""
    laptop = run("laptop").config.values
    rivals = {
        "cells": ["imdb/smollm2-135m-instruct"],
        "seeds": [0],
        "rates": 2,
        "methods": ["prompt_tuning_text", "lora"],
    }
    config = RunConfig.check({**laptop, "rivals": rivals})
    cell, folder = (
        {"dataset": "imdb", "model": "smollm2-135m-instruct"},
        "results/laptop/rivals/imdb/smollm2-135m-instruct",
    )
    assert Lookups(config).control_fit("fit.jsonl")(cell) == f"{folder}/prompt_tuning_text/rate0.01/fit.jsonl"
    assert Lookups(config).rival_checks() == [f"{folder}/prompt_tuning_text/check.json"]

    def rates(config):
        jobs = [wildcards for rule, wildcards in rival_jobs(config) if rule == "rival_rate"]
        return [one["rate"] for one in jobs if one["rival"] == "prompt_tuning_text"]

    assert rates(config) == ["0.003", "0.01"]
    other = replace(config, table=[replace(one, learning_rate=0.02) for one in config.table])
    assert rates(other) == ["0.003", "0.01", "0.02"]
    with pytest.raises(
        UserError, match=r"rivals\.seeds: prompt_tuning_text is held .* first seed, 7, and the run has 0, 1, 2"
    ):
        RunConfig.check({**laptop, "rivals": {**rivals, "seeds": [7, 0]}})


def test_training_all_weights_asks_for_the_memory_of_their_moments():
    """Of 134.5 million weights in fp32: five times 538 MB above the model's own, and three times its 28.3 million embeddings."""
    laptop = run("laptop").config.values
    rivals = {"cells": ["imdb/smollm2-135m-instruct"], "seeds": [0], "methods": ["lora", "fine_tuning"]}
    found = Lookups(RunConfig.check({**laptop, "rivals": rivals}))
    cell = {"dataset": "imdb", "model": "smollm2-135m-instruct", "seed": "0"}
    fit, answer = (found.job_resources(rule)["mem_mb"] for rule in ("rival_fit", "rival_answer"))
    lora, full = ({**cell, "rival": name} for name in rivals["methods"])
    above = 1.25 * (5 * 538 + 3 * 113)
    assert above + fit(lora, 1) < fit(full, 1) < above + 2 * fit(lora, 1)
    assert fit(lora, 1) == found.config.resources.job(cell["model"], True)["mem_mb"]
    assert answer(lora, 1) + 538 < answer(full, 1) < answer(lora, 1) + 2 * 538


def test_long_prompts_ask_for_the_memory_of_their_cache():
    """Sixteen IMDB examples for each of 32 rows, in a cache of 46 kB a token; timing answers one row at a time."""
    laptop = run("laptop").config.values
    names = ["lora", "few_shot_1", "few_shot_16", "self_refine_1", "textgrad"]
    rivals = {"cells": ["imdb/smollm2-135m-instruct"], "seeds": [0], "methods": names}
    resources = RunConfig.check({**laptop, "rivals": rivals}).resources
    model = "smollm2-135m-instruct"
    work = next(one for one in resources.works(model) if one.train == 67)

    def needs(name, rule="rival_answer"):
        return resources.rival_job(model, RIVALS[name], rule)["mem_mb"]

    token = resources.shape(model).cache_bytes(1, 4)
    assert token == 46_080
    assert asked(RIVALS["few_shot_16"], work).prompt == work.prompt + 13 * (work.input + work.target)
    assert needs("lora") == needs("few_shot_1") == resources.job(model, False)["mem_mb"]
    assert needs("few_shot_16") - needs("few_shot_1") > 13 * work.input * 32 * token / 1e6
    assert needs("self_refine_1") - needs("lora") > 2 * work.limit * 32 * token / 1e6
    assert needs("few_shot_16", "rival_cost") == needs("lora")
    # Criticism in words answers, and trains nothing.
    assert needs("textgrad", "rival_fit") == resources.job(model, False)["mem_mb"] > needs("lora", "rival_fit")


def test_self_refine_runs_once_and_more_rounds_go_on_from_fewer():
    laptop = run("laptop").config.values
    methods = ["few_shot_1", "self_refine_1", "self_refine_4"]
    rivals = {"cells": ["imdb/smollm2-135m-instruct"], "seeds": [4, 5], "methods": methods, "latency": False}
    config = RunConfig.check({**laptop, "rivals": rivals})
    found, folder = Lookups(config), "imdb/smollm2-135m-instruct"
    assert [path.split("/")[5:7] for path in found.rival_files("graded.jsonl")] == [
        ["few_shot_1", "seed4"], ["few_shot_1", "seed5"], ["self_refine_1", "seed4"], ["self_refine_4", "seed4"]
    ]  # fmt: skip
    cell = dict(zip(("dataset", "model"), folder.split("/"), strict=True)) | {"seed": "4"}
    one, four = ({**cell, "rival": name} for name in methods[1:])
    state = f"--state results/laptop/resume/rivals/{folder}/self_refine/seed4.answers.state"
    assert (found.rival_state(one), found.rival_state(four)) == (f"{state} --keep-state", state)
    assert found.rival_begun(one) == []
    assert found.rival_begun(four) == [f"results/laptop/rivals/{folder}/self_refine_1/seed4/outputs.jsonl"]
    jobs = [(rule, one["rival"], one["seed"]) for rule, one in rival_jobs(config)]
    assert jobs == [
        (rule, name, seed) for name, seeds in zip(methods, ("45", "4", "4"), strict=True) for seed in seeds
        for rule in ("rival_fit", "rival_answer")
    ]  # fmt: skip
    # 84 test items: one answer, a feedback and a rewriting, then three more rounds of both.
    assert [config.durations.effort("rival_answer", one)[1] for one in (one, four)] == [84 * 3, 84 * 6]
    words = shlex.split(config.rivals_flags())
    assert words[words.index("--once") + 1 :][:2] == methods[1:]


def named(flags):
    """Flags with their values."""
    words = shlex.split(flags)
    return {pair for pair in pairwise(words) if pair[0].startswith("--")}


def test_rivals_are_fitted_with_the_settings_of_the_run():
    """So that the null control stays equal: every flag of the run's own optimisation, or a refusal."""
    laptop = run("laptop").config.values
    rivals = {"cells": ["imdb/smollm2-135m-instruct"], "seeds": [0], "methods": ["prompt_tuning_text"]}

    def config(**optimize):
        return RunConfig.check({**laptop, "optimize": {**laptop["optimize"], **optimize}, "rivals": rivals})

    other = config(
        optimizer="adamw", weight_decay=0.01, loss_reduction="token_mean", batch_size=4, patience=1, token_budget=99
    )
    cell = ("imdb", "smollm2-135m-instruct", 0)
    own, fit = (named(flags) for flags in (other.optimize_flags(*cell), other.rival_flags(*cell)))
    assert own - fit == {("--learning-rate", "0.01"), ("--early-stop", "dev_loss")}
    assert fit <= own
    for key, value in (("folds", 3), ("early_stop", "dev_accuracy"), ("initial_displacement", 0.1)):
        with pytest.raises(
            UserError, match=rf"^config: optimize\.{key} is .*, which other methods cannot have, .*; leave out rivals"
        ):
            config(**{key: value})


def test_the_table_of_rivals_knows_each_cell_s_own_seeds():
    laptop = run("laptop").config.values
    cells = ["imdb/smollm2-135m-instruct", "math500/smollm2-135m-instruct"]
    config = RunConfig.check({**laptop, "rivals": {"cells": cells, "seeds": [0, 1, 2], "methods": ["lora"]}})
    words = shlex.split(config.rivals_flags())
    seeds = Seeds(words[words.index("--run-seeds") + 1])
    assert (seeds.of("imdb"), seeds.of("math500")) == ([0, 1, 2], [0])


def test_the_table_of_rivals_waits_for_the_ladders_of_its_cells():
    laptop = yaml.safe_load((ROOT / "config/laptop.yaml").read_text(encoding="utf-8"))
    rivals = {"cells": ["imdb/smollm2-135m-instruct"], "seeds": [0], "methods": ["lora", "few_shot_1"]}
    found = Lookups(RunConfig.check({**laptop, "rivals": rivals}))
    folder = "results/laptop/imdb/smollm2-135m-instruct"
    assert found.rival_ladders() == [f"{folder}/ladder.json", f"{folder}/ladder.jsonl"]
    assert found.rival_tables() == ["results/laptop/rivals.csv"]
    assert run("laptop").rival_ladders() == run("laptop").rival_tables() == []
