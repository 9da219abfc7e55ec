"""A configuration that is wrong is refused with one sentence that names the key."""

import copy
import json
import shlex

import pytest
import yaml
from places import ROOT
from snakemake.cli import parse_config
from snakemake.utils import update_config

from embedgrad.cli import build_parser
from embedgrad.planning.run_config import RunConfig, _flags
from embedgrad.schemas.check import _number_in_text
from embedgrad_core.files import UserError

PAPER = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EMBEDGRAD_MIRROR", raising=False)


def changed(*path, to=None, drop=False):
    values = copy.deepcopy(PAPER)
    place = values
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return values


WRONG = [
    (changed("sedes", to=[1]), "unknown key 'sedes'; did you mean seeds?"),
    (changed("optimize", "batchsize", to=4), "unknown key 'optimize.batchsize'; did you mean batch_size?"),
    (changed("layout", "kind", to="cat"), "layout.kind: 'cat' is not one of"),
    (changed("seeds", to=["one"]), "seeds.0: 'one' is not of type 'integer'"),
    (changed("seeds", drop=True), "key 'seeds' is missing at top level"),
    (changed("split", drop=True), "key 'split' is missing at top level"),
    (changed("tasks", "imdb", "prompt", drop=True), "key 'prompt' is missing at tasks.imdb"),
    (changed("models", "qwen2.5-math-7b", "hub", drop=True), "models.qwen2.5-math-7b needs exactly one of hub"),
    (changed("models", "qwen2.5-math-7b", drop=True), "names 'qwen2.5-math-7b', which is not under `models`"),
    (changed("cells", to="math500-L1/qwen2.5-math-1.5"), "did you mean math500-L1/qwen2.5-math-1.5b?"),
    (changed("cells", to="nothing"), "cells: 'nothing' is not in config/cells.tsv"),
    (changed("cell_table", to="config/none.tsv"), "config/none.tsv: no such file"),
    (changed("run", to="../paper"), "run: '../paper' does not match"),
    (
        {**changed("decode", "block", drop=True), "tasks": changed("tasks", "medd", "shards", to=4)["tasks"]},
        "needs decode.block",
    ),
    (changed("seeds", to=["9" * 5000]), "seeds: a seed has too many digits"),
    (changed("tasks", "medd", "shards", to=0), "tasks.medd.shards: 0 is less than the minimum of 1"),
    (changed("split_runs", to=["paper"]), "split_runs: paper is this run itself; name runs with another split.seed"),
    (changed("split_runs", to=["../x"]), "split_runs.0: '../x' does not match"),
    (changed("probes", to=["cost", "cost"]), "probes: ['cost', 'cost'] has non-unique elements"),
    (changed("probes", to=["costs"]), "probes.0: 'costs' is not one of"),
    (changed("cell_jobs", to="both"), "cell_jobs: 'both' is not one of"),
    (changed("recovery", to={"axes": ["editions"]}), "recovery.axes.0: 'editions' is not one of"),
    (changed("tasks", "imdb", "options", to={"target": "chain"}), "tasks.imdb.options.target: 'chain' is not one of"),
    (changed("tasks", "math500", "options", to={"target": "own_chain"}), "own_chain is for tasks with labels"),
    (changed("gpu", to="a100"), "did you mean a100-80 or a100-40?"),
    (changed("gpu", to="abacus"), "gpu: 'abacus' is not one of ['h200', 'h100',"),
    (
        changed("run", drop=True),
        "key 'run' is missing at top level. Does the file go on top of another one (its first lines say which)?",
    ),
    (
        changed("tasks", "meddd", to=PAPER["tasks"]["medd"]),
        "config/mine.yaml: tasks.meddd: no such data set; did you mean medd?",
    ),
    (changed("tasks", "reviews", to=PAPER["tasks"]["imdb"]), 'add one of your own: CONTRIBUTING.md, "A data set".'),
    (
        changed("models", "qwen2.5-math-7b", "parameters", to="5e8"),
        "parameters: '5e8' is not of type 'number'; YAML reads 5e8 as text, write 5.0e+8 or 500000000.",
    ),
    (changed("optimize", "weight_decay", to="15E-4"), "text, write 15.0e-4 or 0.0015."),
    (changed("optimize", "weight_decay", to="much"), "optimize.weight_decay: 'much' is not of type 'number'."),
    (changed("models", "a b; rm", to=PAPER["models"]["qwen2.5-math-7b"]), "'a b; rm' does not match"),
]


@pytest.mark.parametrize(("values", "message"), WRONG, ids=[message for _, message in WRONG])
def test_one_sentence_says_what_is_wrong(values, message):
    with pytest.raises(UserError) as caught:
        RunConfig.check(values, "config/mine.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_is_suggested_as_yaml_reads_it():
    suggested = _number_in_text("5e8")
    assert suggested == "5.0e+8 or 500000000"
    assert [yaml.safe_load(one) for one in suggested.split(" or ")] == [5e8, 500_000_000]
    assert yaml.safe_load("15.0e-4") == 0.0015
    for other in ("1.5e-3", "much", "5e8x", "1e" + "9" * 99):
        assert _number_in_text(other) == ""


def on_the_command_line(*words):
    values = copy.deepcopy(PAPER)
    update_config(values, parse_config(list(words)))
    return values


def test_another_split_is_named_on_the_command_line():
    """Snakemake reads what is nested in ``--config 'split={seed: 7}'`` as text."""
    values = on_the_command_line("split={seed: 7}")
    assert values["split"]["seed"] == "7"
    assert "--split-seed 7 --split-rule half" in RunConfig.check(values).data_flags("imdb")
    for wrong in ("0_1", "010", "-1", "one", "7" * 5000):
        with pytest.raises(UserError, match="seed") as told:
            RunConfig.check(changed("split", "seed", to=wrong))
        assert len(str(told.value)) < 500


@pytest.mark.parametrize(
    ("word", "path", "value"),
    [
        ("optimize={initial_displacement: 0.05, displacement_seed: 1}", ("optimize", "initial_displacement"), 0.05),
        ("optimize={initial_displacement: 0.05, displacement_seed: 1}", ("optimize", "displacement_seed"), 1),
        ("decode={repetition_penalty: 1.1}", ("decode", "repetition_penalty"), 1.1),
        ("optimize={learning_rate: 1.5e-3}", None, None),  # no key of this name, whatever its type
        ("decode={strict: true, batch_size: 8}", ("decode", "strict"), True),
        ("decode={strict: true, batch_size: 8}", ("decode", "batch_size"), 8),
        ("decode={batch_size: auto}", ("decode", "batch_size"), "auto"),
        ("probe_sizes={dealings: 3}", ("probe_sizes", "dealings"), 3),
        (
            "optimize={folds: 1}; rivals={cells: [imdb/qwen2.5-0.5b-instruct], methods: [lora], seeds: [0, 1]}",
            ("rivals", "seeds"),
            [0, 1],
        ),
        ("decode={block: 1.5}", None, None),
        ("decode={block: yes}", None, None),
        ("decode={stop_rule: 5}", None, None),
    ],
)
def test_a_nested_value_of_the_command_line_has_the_type_that_its_key_wants(word, path, value):
    values = on_the_command_line(*word.split("; "))
    if path is None:
        with pytest.raises(UserError):
            RunConfig.check(values)
        return
    before, found = copy.deepcopy(values), RunConfig.check(values).values
    for key in path:
        found = found[key]
    assert (found, type(found)) == (value, type(value))
    assert values == before, "what was given stays as it was"


def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path):
    (tmp_path / "bad.yaml").write_text("run: paper\nseeds: [0\ntasks: {}\n")
    with pytest.raises(UserError, match=r"bad.yaml:3: not valid YAML"):
        RunConfig.read(tmp_path / "bad.yaml")


def test_files_lie_on_top_of_each_other_as_snakemake_lays_them(tmp_path):
    below, above = ROOT / "config/demo.yaml", tmp_path / "more.yaml"
    above.write_text("seeds: [3, 4]\noptimize: {patience: 9}\n")
    values = RunConfig.read(below, above).values
    expected = yaml.safe_load(below.read_text(encoding="utf-8"))
    update_config(expected, yaml.safe_load(above.read_text()))
    assert values == expected
    assert values["optimize"]["patience"] == 9
    assert values["optimize"]["batch_size"] == 8
    above.write_text("seeds: -1\n")
    with pytest.raises(UserError, match=r"demo\.yaml \+ .*more\.yaml: seeds.0: -1 is less than the minimum of 0"):
        RunConfig.read(below, above)


def test_a_mirror_that_is_not_there_is_named():
    with pytest.raises(UserError, match="mirror: nowhere is not a folder"):
        _ = RunConfig.check(changed("mirror", to="nowhere")).mirror


def test_the_paper_has_26_cells_and_selects_by_name():
    assert len(RunConfig.check(PAPER).cells) == 26
    some = RunConfig.check(changed("cells", to="imdb/qwen2.5-3b-instruct, math500-L1/qwen2.5-math-1.5b"))
    assert [cell.name for cell in some.cells] == ["math500-L1/qwen2.5-math-1.5b", "imdb/qwen2.5-3b-instruct"]


def test_flags_survive_the_shell():
    config = RunConfig.check(changed("layout", "separator", to="\n'$(x)' "))
    flags = shlex.split(config.prompt_flags("math500"))
    assert flags[flags.index("--prompt") + 1] == PAPER["tasks"]["math500"]["prompt"]
    assert flags[flags.index("--separator") + 1] == "\\n'$(x)' "
    data = shlex.split(config.data_flags("math500"))
    assert json.loads(data[data.index("--options") + 1]) == {"target": "solution"}
    assert "--pool 168" in config.data_flags("imdb")


def test_a_mirrored_model_is_taken_from_the_mirror(tmp_path):
    (tmp_path / "models/Qwen2.5-0.5B-Instruct").mkdir(parents=True)
    config = RunConfig.check(changed("mirror", to=str(tmp_path)))
    assert config.model_folder("qwen2.5-0.5b-instruct") == str(tmp_path / "models/Qwen2.5-0.5B-Instruct")
    assert config.model_folder("qwen2.5-3b-instruct") is None
    assert "--model Qwen/Qwen2.5-3B-Instruct --revision aa8e72537993ba99e69dfaafa59ed015b17504d1" in config.model_flags(
        "qwen2.5-3b-instruct"
    )


def test_a_prompt_that_begins_with_a_dash_reaches_the_command():
    values = copy.deepcopy(PAPER)
    values["tasks"]["imdb"]["prompt"] = "-Solve"
    values["layout"]["separator"] = "--\n"
    values["layout"]["suffix"] = "- it's $HOME"
    flags = RunConfig.check(values, "mine.yaml").prompt_flags("imdb")
    words = ["decode", "--model", "m", "--data", "d", "--out", "o", *shlex.split(flags)]
    found = build_parser().parse_args(words)
    assert (found.prompt, found.separator, found.suffix) == ("-Solve", "--\n", "- it's $HOME")
    values["layout"]["separator"] = "--"
    with pytest.raises(UserError, match=r"mine\.yaml: layout\.separator: '--' alone"):
        RunConfig.check(values, "mine.yaml")
    # As before where no dash stands in front, so that no finished step is made again.
    assert "--prompt 'a -b'" in _flags({"prompt": "a -b"})


def test_resources_grow_with_the_model_and_name_no_gpu_on_a_cpu():
    config = RunConfig.check(PAPER)
    small, large = (config.resources.job(f"qwen2.5-{size}-instruct", True) for size in ("0.5b", "14b"))
    assert small["mem_mb"] < large["mem_mb"]
    assert small["gpu"] == 1
    assert RunConfig.check(changed("device", to="cpu")).resources.job("qwen2.5-math-7b", False)["gpu"] == 0


@pytest.mark.parametrize(
    ("count", "rates"),
    [
        (1, (3e-4,)),
        (2, (3e-4, 1e-3)),
        (3, (1e-4, 3e-4, 1e-3)),
        (4, (1e-4, 3e-4, 1e-3, 3e-3)),
        (9, (1e-4, 3e-4, 1e-3, 3e-3)),
    ],
)
def test_fewer_rates_are_the_middle_of_a_grid(count, rates):
    values = copy.deepcopy(PAPER)
    values["rivals"] = {"cells": ["imdb/qwen2.5-3b-instruct"], "seeds": [0], "methods": ["lora", "gcg"], "rates": count}
    values["optimize"]["folds"] = 0
    found = {rival.name: rival.rates for _, rival in RunConfig.check(values).rivals}
    assert found == {"lora": rates, "gcg": ()}


def test_what_lat_costs_is_a_key_and_without_it_nothing_is_made_again():
    plain = RunConfig.check(PAPER)
    assert plain.analysis_flags("imdb") == plain.decode_flags("imdb")
    smaller = RunConfig.check(changed("lat", to={"pairs": 40, "displacements": 0}))
    flags = smaller.analysis_flags("imdb").removeprefix(plain.decode_flags("imdb"))
    assert flags == " --lat-pairs 40 --lat-displacements 0"
    with pytest.raises(UserError, match=r"lat\.pairs"):
        RunConfig.check(changed("lat", to={"pairs": 3}))
