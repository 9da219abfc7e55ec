"""What is refused, and what is told, before a run's first job."""

import copy
import logging
import shlex

import pytest
import yaml
from places import ROOT
from snakemake_interface_common.exceptions import WorkflowError

from embedgrad.planning.durations import LOADING
from embedgrad.planning.effort.rivals import rival_jobs
from embedgrad.planning.forecast import first_lines, outlook
from embedgrad.planning.lookups import Lookups
from embedgrad.planning.pace import Pace, job_seconds
from embedgrad.planning.run_config import RunConfig
from embedgrad.rivals import environment
from embedgrad.rivals.table import RIVALS as RIVALS_KNOWN
from embedgrad.runtime.checks import as_workflow_error, check_gpus, check_models, check_rivals, check_targets
from embedgrad_core.files import UserError

LARGE = "qwen2.5-14b-instruct"


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EMBEDGRAD_MIRROR", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))


def config(name, models=None, **keys):
    values = copy.deepcopy(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8")))
    return RunConfig.check(values | keys | ({"models": values["models"] | models} if models else {}))


def jobs(run):
    """What a whole run has to do, as far as it loads models, and a rule that loads none."""
    cells = [{"dataset": cell.dataset, "model": cell.model, "seed": "0"} for cell in run.cells]
    tasks = [{"task": cell.task, "model": cell.model} for cell in run.cells if cell.level in (None, "1")]
    return [
        ("table2", {}),
        *((rule, wildcards) for rule in ("optimize", "after", "analyse") for wildcards in cells),
        *((rule, wildcards) for rule in ("before", "baselines") for wildcards in tasks),
    ]


def test_an_error_of_the_suite_is_one_line_of_snakemakes():
    with pytest.raises(WorkflowError, match=r"^one line$") as caught, as_workflow_error():
        raise UserError("one line")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    with pytest.raises(KeyError), as_workflow_error():
        raise KeyError


RIVALS = {"cells": ["imdb/smollm2-135m-instruct", "math500/smollm2-135m-instruct"], "seeds": [0], "missing": "list"}


def test_methods_that_cannot_run_here_are_refused_before_the_first_job(monkeypatch, tmp_path):
    names = ["lora", "qlora", "gepa", "houlsby", "few_shot_1", "fine_tuning"]
    run = config("laptop", rivals={**RIVALS, "methods": names})
    wanted = [(rule, wildcards) for rule, wildcards in rival_jobs(run)]
    monkeypatch.setattr(environment, "find_spec", lambda name: None if name in ("bitsandbytes", "gepa") else name)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.delenv("EMBEDGRAD_ADAPTERS_PYTHON", raising=False)
    needed = run.resources.rival_job("smollm2-135m-instruct", RIVALS_KNOWN["fine_tuning"], "rival_fit")["mem_mb"]
    with pytest.raises(WorkflowError) as caught:
        check_rivals(run, wanted, needed * 10**6 - 1)
    lines = str(caught.value).splitlines()
    assert [line.split()[1].rstrip(":") for line in lines] == ["qlora", "gepa", "houlsby", "fine_tuning"]
    assert "needs bitsandbytes, which is not installed: `make rivals`" in lines[0]
    assert "`make adapters` makes it" in lines[2]
    assert "GB, this machine has" in lines[3]
    check_rivals(
        run, [job for job in wanted if job[1]["rival"] in ("lora", "few_shot_1", "fine_tuning")], needed * 10**6
    )


def test_methods_that_do_not_apply_are_left_out_and_the_table_is_told():
    names = ["prompt_tuning_labels", "adapter_fusion", "fine_tuning", "lora"]
    half = {"smollm2-135m-instruct": config("laptop").values["models"]["smollm2-135m-instruct"] | {"dtype": "bfloat16"}}
    run = config("laptop", half, rivals={**RIVALS, "methods": names})
    assert [(cell.dataset, rival.name) for cell, rival in run.rivals] == [
        ("imdb", "prompt_tuning_labels"), ("imdb", "lora"), ("math500", "adapter_fusion"), ("math500", "lora")
    ]  # fmt: skip
    assert [(cell.dataset, rival.name, why.split(",")[0]) for cell, rival, why in run.rivals_left_out] == [
        ("imdb", "adapter_fusion", "fuses adapters of several levels"),
        ("imdb", "fine_tuning", "trains the model's own weights"),
        ("math500", "prompt_tuning_labels", "starts from class labels"),
        ("math500", "fine_tuning", "trains the model's own weights"),
    ]
    words = shlex.split(run.rivals_flags())
    places = [place for place, word in enumerate(words) if word == "--left-out"]
    assert [words[place + 1 : place + 3] for place in places] == [
        [f"{cell.dataset}/{cell.model}", rival.name] for cell, rival, _ in run.rivals_left_out
    ]
    assert "--list-missing" in words
    assert Lookups(run).rival_files("graded.jsonl") == Lookups(run).rival_costs() == []
    assert Lookups(config("laptop", rivals={**RIVALS, "methods": ["lora"], "missing": "stop"})).rival_files(
        "graded.jsonl"
    )


def test_more_gpus_than_there_are_is_refused():
    run = config("paper", gpu="a10")
    needed = {training: run.resources.job(LARGE, training)["gpu"] for training in (True, False)}
    assert min(needed.values()) > 1
    most = max(run.resources.job(model, training)["gpu"] for model in run.values["models"] for training in needed)
    check_gpus(run, jobs(run), most)
    for rule, training in (("optimize", True), ("sensitivity", True), ("before_shard", False), ("analyse", False)):
        wanted = [("table2", {}), (rule, {"model": LARGE, "task": "medd"})]
        check_gpus(run, wanted, needed[training])
        kind = rule.removesuffix("_shard")
        with pytest.raises(
            UserError, match=rf"^model {LARGE}: {kind} needs {needed[training]} GPUs, this machine gives"
        ):
            check_gpus(run, wanted, needed[training] - 1)
    check_gpus(run, [("metrics", {"model": LARGE}), ("table2", {})], 0)


def test_every_model_that_cannot_be_had_is_named(tmp_path):
    lacking = {
        name: {"folder": str(tmp_path), "parameters": 2e5, "dtype": "float32"} for name in ("tiny-0.2m", "tiny-0.8m")
    }
    run, said = config("demo", lacking), []
    loading = [(rule, wildcards) for rule, wildcards in jobs(run) if wildcards.get("model") != "tiny-0.8m"]
    for wanted, names in ((jobs(run), list(lacking)), (loading, ["tiny-0.2m"])):
        with pytest.raises(WorkflowError) as caught:
            check_models(run, wanted, said.append)
        lines = str(caught.value).splitlines()
        assert [line.split(": ")[0] for line in lines] == [f"model {name}" for name in names]
        assert all("holds no config.json" in line for line in lines)
    check_models(run, [("metrics", {"model": "tiny-0.2m"}), ("all", {})], said.append)
    check_models(config("demo"), jobs(config("demo")), said.append)  # the run makes them itself
    assert said == []


def test_the_first_lines_are_the_outlook_and_where_to_learn_more():
    run = config("demo")
    told, more = first_lines(run, jobs(run), [ROOT / "config/demo.yaml"], False)
    assert told == f"forecast: {outlook(run, jobs(run), run.resources.machine(False))}"
    assert "`embedgrad plan --config config/demo.yaml`" in more
    assert "`embedgrad plan --config a.yaml b.yaml`" in first_lines(run, jobs(run)[1:3], ["a.yaml", "b.yaml"], False)[1]
    assert "`embedgrad plan`" in first_lines(run, jobs(run)[1:3], [], False)[1]
    assert first_lines(run, [("table2", {}), ("metrics", {"model": "tiny-0.2m"})], [], False) == []
    told, _ = first_lines(run, [("optimize", {"dataset": "nowhere", "model": "tiny-0.2m"})], [], False)
    assert told.startswith("forecast: none could be made (")


def test_the_time_left_counts_each_job_that_loads_a_model_in_full():
    run = config("demo")
    planned = dict(enumerate(jobs(run)))
    seconds = job_seconds(run, planned)
    assert seconds.keys() == planned.keys()
    for number, (rule, wildcards) in planned.items():
        durations = run.durations
        expected = durations.seconds(rule, wildcards) if rule in LOADING else durations.fixed(rule, wildcards)
        assert seconds[number] == pytest.approx(expected)
    lines = []
    pace = Pace(seconds, lines.append)
    for number in planned:
        pace.emit(logging.makeLogRecord({"event": "job_finished", "job_id": number}))
    assert pace.left == {}
    assert job_seconds(run, {0: ("optimize", {"dataset": "nowhere", "model": "tiny-0.2m"})}) == {}


def test_a_target_of_no_cell_is_one_line_that_names_the_nearest():
    run = config("paper")
    right = [
        "all_metrics",
        "results/paper/medd/qwen2.5-3b-instruct/seed7/metrics.json",
        "results/paper/data/imdb/test.jsonl",
    ]
    right += [
        "results/paper/math500/qwen2.5-math-7b/ladder.json",
        "results/paper/carry/words.csv",
        "figures/paper/lat.png",
    ]
    check_targets(run, right)
    wrong = {
        "results/paper/medd/qwen2.5-math-1.5b/seed0/metrics.json": "medd/qwen2.5-math-1.5b is not in config/cells.tsv; did you",
        "results/paper/medd/qwen2.5-math-1.5b/ladder.json": "medd/qwen2.5-math-1.5b is not in config/cells.tsv; did you",
        "results/paper/med/qwen2.5-3b-instruct/seed0/metrics.json": "did you mean medd/qwen2.5-3b-instruct?",
        "results/demo/mood/tiny-0.2m/seed0/metrics.json": "the run of this configuration is paper, not demo; add the --configfile",
    }
    for target, told in wrong.items():
        with pytest.raises(UserError) as caught:
            check_targets(run, [*right, target])
        assert str(caught.value).startswith(f"target {target}: ")
        assert told in str(caught.value)
    with pytest.raises(UserError, match=r"^cell: 'medd/qwen' is not in .*did you mean medd/qwen2\.5"):
        run.cell("medd", "qwen")
