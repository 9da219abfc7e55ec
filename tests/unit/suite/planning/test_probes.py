"""What probes add to a plan, and which of their jobs there are."""

import json
import re

import pytest
import yaml
from places import ROOT

from embedgrad.cli import main
from embedgrad.planning.durations import HANDED, Durations
from embedgrad.planning.effort import probes as effort
from embedgrad.planning.effort.probes import probe_jobs
from embedgrad.planning.forecast import forecast, outlook
from embedgrad.planning.gpus import named_gpu
from embedgrad.planning.lookups import Lookups
from embedgrad.planning.run_config import RunConfig
from embedgrad.probes import contamination, robustness
from embedgrad_core.files import UserError

ALL = ["calibration", "contamination", "robustness", "variance", "transfer_matrix", "shuffled", "trajectory", "cost"]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EMBEDGRAD_MIRROR", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))


def probing(name="paper", **keys):
    return RunConfig.check(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8")) | keys)


def test_the_plan_counts_what_the_probes_do():
    """Planning imports no torch, so that it has the probes' numbers a second time."""
    assert 1 + len(robustness.WHAT) == effort.CONDITIONS
    assert (effort.GIVEN, effort.MOST_TOKENS) == (contamination.GIVEN, contamination.MOST_TOKENS)


def test_the_plan_has_the_jobs_of_the_workflow():
    config = probing(probes=ALL)
    jobs = list(probe_jobs(config))
    rules = Lookups(config)
    assert len(jobs) == len(ALL) * 26
    made = [path for name in ALL for path in rules.probe_files(name)]
    for (rule, names), path in zip(jobs, made, strict=True):
        ending = f"{names['dataset']}/{names['model']}/seed{names['seed']}/probes/{rule.removeprefix('probe_')}.json"
        assert path == f"results/paper/{ending}"
    assert list(probe_jobs(probing())) == []


def test_each_cell_is_forecast_with_its_probes():
    machine = named_gpu("h100")
    plain, probed = (
        {row.cell: row for row in forecast(config, machine)} for config in (probing(), probing(probes=ALL))
    )
    assert all(row.probe_seconds == 0 for row in plain.values())
    for name, row in probed.items():
        assert (row.train_seconds, row.decode_seconds) == (plain[name].train_seconds, plain[name].decode_seconds)
        assert row.disk > plain[name].disk
        # Six are handed to the process that holds the model, and one trains twenty epochs where the cell has ten.
        assert row.probe_seconds > 6 * HANDED + 1.5 * row.train_seconds
    config = probing(probes=ALL)
    told = outlook(config, probe_jobs(config), machine)
    trained, answered = (int(number.replace(",", "")) for number in re.findall(r"([\d,]+)(?: tokens)? to ", told))
    durations = Durations(config, machine, config.resources)
    counted = [durations.tokens(*job) for job in probe_jobs(config) if job[0] not in ("probe_variance", "probe_cost")]
    assert [trained, answered] == [sum(column) for column in zip(*counted, strict=True)]


def test_what_each_probe_does():
    """By hand: causal judgment has 76 training items, 19 of dev, 95 of test; answers of 200 tokens before, of 2 after."""
    config = probing(probes=ALL)
    durations = Durations(config, named_gpu("h100"), config.resources)
    names = {"dataset": "causal_judgment", "model": "qwen2.5-7b-instruct"}
    work = durations.work(names)
    sizes = (work.train, work.dev, work.test, work.input, work.target, work.answer, work.trained)
    assert sizes == (76, 19, 95, 203, 2, 200, 2)
    each, others = (
        76 * (203 + 2),
        [durations.work({"task": task, "model": names["model"]}) for task in config.tasks_of(names["model"])],
    )
    asked = [(min(32, one.test), one.answer) for one in others]
    assert {name: durations.tokens(f"probe_{name}", names) for name in ALL} == {
        "calibration": (0, 0),
        "contamination": (0, 2 * 64 * (203 - 122)),
        "robustness": (0, 7 * 32 * (200 + 2)),
        "transfer_matrix": (0, sum(count * (answer + 2) for count, answer in asked)),
        "shuffled": (durations.tokens("optimize", names)[0], 95 * 2),
        "trajectory": (20 * each, 0),
        "variance": (0, 0),
        "cost": (0, 0),
    }


def test_sizes_change_the_jobs_and_their_forecast():
    small = probing(probes=ALL, probe_sizes={"answered": 8, "texts": 16, "epochs": 3})
    names = ("imdb", "qwen2.5-7b-instruct", 0)
    assert small.size_flags("items", "answered") == "--items 8"
    assert small.size_flags("items", "texts") == "--items 16"
    assert "--epochs 3 " in small.trajectory_flags(*names)
    assert "--epochs 20 " in probing().trajectory_flags(*names)
    machine = named_gpu("h100")
    few, many = (Durations(config, machine, config.resources) for config in (small, probing(probes=ALL)))
    cell = {"dataset": "imdb", "model": "qwen2.5-7b-instruct"}
    for rule, times in (("robustness", 4), ("transfer_matrix", 4), ("contamination", 4)):
        assert times * few.tokens(f"probe_{rule}", cell)[1] == many.tokens(f"probe_{rule}", cell)[1]
        assert few.seconds(f"probe_{rule}", cell) < many.seconds(f"probe_{rule}", cell)
    once, thrice = (
        Durations(config, machine, config.resources)
        for config in (probing(probes=ALL), probing(probes=ALL, probe_sizes={"dealings": 3}))
    )
    assert probing(probe_sizes={"dealings": 3}).size_flags("dealings", "dealings") == "--dealings 3"
    assert [3 * some for some in once.tokens("probe_shuffled", cell)] == list(thrice.tokens("probe_shuffled", cell))
    with pytest.raises(UserError, match="probe_sizes"):
        probing(probe_sizes={"answered": 0})


def test_a_prompt_that_answers_longer_inputs_needs_their_memory():
    machine = named_gpu("h100")
    alone, asked = (
        {row.cell: row.memory for row in forecast(probing(probes=names), machine)}
        for names in (["robustness"], ["transfer_matrix"])
    )
    assert asked["medd/qwen2.5-14b-instruct"] > alone["medd/qwen2.5-14b-instruct"]
    assert asked["imdb/qwen2.5-14b-instruct"] == alone["imdb/qwen2.5-14b-instruct"]


def test_other_splits_may_have_some_of_the_cells():
    cells = ["imdb/smollm2-135m-instruct", "medd/smollm2-135m-instruct"]
    config = probing("laptop", probes=["variance", "cost"], split_runs=["b"], split_cells=cells)
    rules = Lookups(config)
    assert rules.probe_files("variance") == [f"results/laptop/{cell}/seed0/probes/variance.json" for cell in cells]
    assert rules.probed_metrics("variance") == [f"results/laptop/{cell}/seed0/metrics.json" for cell in cells]
    assert len(rules.probe_files("cost")) == 18
    with pytest.raises(UserError, match=r"split_runs: results/b/data/imdb/split\.json is missing; .*all_metrics"):
        rules.check_split_runs()
    with pytest.raises(
        UserError, match=r"split_cells: 'imdb/smollm2' is not in .*did you mean imdb/smollm2-135m-instruct"
    ):
        probing("laptop", split_cells=["imdb/smollm2"])


def test_the_plan_says_what_probes_cost(capsys, tmp_path):
    more = tmp_path / "more.yaml"
    more.write_text("probes: [robustness, trajectory, cost]\ncells: [imdb/qwen2.5-7b-instruct]\n")
    plan = ["plan", "--gpu", "h100", "--offline", "--config", "config/paper.yaml", str(more)]
    with pytest.raises(SystemExit):  # neither model nor data are at hand
        main(plan)
    told = capsys.readouterr().out
    assert re.search(r"answer +probes +disk", told)
    assert re.search(
        r"^probes: 3 jobs on the first seeds, [\d,]+ tokens to train on, 45,248 to answer: ", told, re.MULTILINE
    )
    with pytest.raises(SystemExit):
        main([*plan, "--json"])
    assert json.loads(capsys.readouterr().out)["cells"][0]["probe_seconds"] > 0
