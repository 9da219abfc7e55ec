"""Plans of what is off by default: probes, other splits, the model's own chains of thought, shards; and what is refused."""

import re
import shlex

import pytest
import yaml
from commands import job_counts, snakemake
from places import ROOT

pytestmark = pytest.mark.workflow
PROBES = ["calibration", "contamination", "robustness", "variance", "transfer_matrix", "shuffled", "trajectory", "cost"]
SMALL = "tests/configs/small.yaml"
CHAINED = {"tasks": {"mood": {"options": {"target": "own_chain"}}}}


def probed(cells, names=PROBES):
    return {"probe_table": len(names)} | {f"probe_{name}": cells for name in names}


PLANS = {
    "all probes of the paper": (
        "config/paper.yaml",
        {"probes": PROBES},
        {"metrics": 26, "total": 195 + (26 + 1) * len(PROBES)} | probed(26),
    ),
    # Table 2 has three seeds of most cells, a probe looks at the first.
    "all probes of the laptop's run": ("config/laptop.yaml", {"probes": PROBES}, {"optimize": 30} | probed(18)),
    "probes of the laptop's cheapest cells, with tables and page": (
        "config/laptop.yaml",
        yaml.safe_load((ROOT / "config/laptop_probes.yaml").read_text(encoding="utf-8")),
        {"optimize": 12} | probed(4, [name for name in PROBES if name != "variance"]),
    ),
    "shards with probes": (
        "config/paper.yaml",
        {
            "probes": PROBES,
            "cells": ["medd/qwen2.5-3b-instruct", "imdb/qwen2.5-3b-instruct"],
            "tasks": {"medd": {"shards": 4}},
        },
        {"after_shard": 4, "before_shard": 4, "baselines_shard": 4, "after": 1} | probed(2),
    ),
    "own chains": (SMALL, CHAINED, {"chains": 1, "optimize": 2, "data": 2}),
    "own chains with probes": (SMALL, CHAINED | {"probes": PROBES}, {"chains": 1, "optimize": 2} | probed(2)),
}


CARRY = {
    "carry": {"cells": ["imdb/smollm2-135m-instruct", "imdb/qwen2.5-coder-0.5b-instruct", "medd/smollm2-135m-instruct"]}
}
PLANS |= {
    # Four pairs with one data set, one with the other.
    "carried prompts": ("config/laptop.yaml", CARRY, {"carry_transfer": 5, "carry_words": 3, "carry_table": 2}),
    "carried prompts of the paper, sharded": (
        "config/paper.yaml",
        {
            "carry": {"cells": ["imdb/qwen2.5-3b-instruct", "math500-L1/qwen2.5-math-1.5b"], "budget": 0},
            "cells": ["medd/qwen2.5-3b-instruct"],
            "tasks": {"medd": {"shards": 4}},
        },
        {"carry_transfer": 2, "carry_table": 1, "optimize": 3},
    ),
    "carried prompts of models that a run makes": (
        "config/demo.yaml",
        {"carry": {"cells": ["mood/tiny-0.2m", "mood/tiny-0.8m"]}},
        {"carry_transfer": 4, "carry_words": 2, "carry_table": 2, "pretrain": 2},
    ),
}


def plan(checkout, base, more, *arguments):
    (checkout / "more.yaml").write_text(yaml.safe_dump(more))
    return snakemake(checkout, "--dry-run", *arguments, "--configfile", base, "more.yaml")


@pytest.mark.parametrize(("base", "more", "wanted"), PLANS.values(), ids=PLANS)
def test_what_is_asked_for_is_planned(checkout, base, more, wanted):
    counts = job_counts(plan(checkout, base, more))
    assert counts == counts | wanted
    assert {name for name in counts if name.startswith(("probe_", "carry_"))} <= {*wanted}


def commands_of(run):
    """The words of each ``embedgrad`` command of a plan."""
    assert run.returncode == 0, run.stderr
    told = run.stdout + run.stderr
    return [shlex.split(line) for line in re.findall(r"^ *Shell command: (embedgrad .*)$", told, re.MULTILINE)]


def given(words, flag):
    return words[words.index(flag) + 1].removeprefix("results/small/")


def test_chains_are_trained_and_dev_and_test_stay_as_they_are(checkout):
    probes = ["shuffled", "trajectory", "calibration"]
    words = commands_of(plan(checkout, SMALL, CHAINED | {"probes": probes}, "--printshellcmds"))
    trained = {given(line, "--train") for line in words if line[1] == "optimize"}
    assert trained == {"mood/tiny/train.own_chain.jsonl", "data/blame/train.jsonl"}
    (chains,) = (line for line in words if line[1] == "chains")
    assert given(chains, "--data") == "data/mood/train.jsonl"
    assert given(chains, "--out") == "mood/tiny/train.own_chain.jsonl"
    (optimize,) = (line for line in words if line[1] == "optimize" and "mood/tiny" in given(line, "--train"))
    assert given(optimize, "--dev") == "data/mood/dev.jsonl"
    assert given(optimize, "--early-stop") == "dev_accuracy"
    for name in probes[:2]:  # the same items as the optimisation that they repeat
        assert {given(line, "--train") for line in words if line[1:3] == ["probe", name]} == trained
    read = {given(line, flag) for line in words for flag in ("--data", "--dev") if flag in line and line[1] != "chains"}
    assert read == {f"data/{task}/{name}.jsonl" for task in ("mood", "blame") for name in ("dev", "test")}


def test_the_probe_of_splits_reads_the_runs_that_are_there_and_names_what_is_missing(checkout):
    more = {"probes": ["variance"], "split_runs": ["other"]}
    told = plan(checkout, SMALL, more)
    assert told.returncode != 0
    lines = (told.stdout + told.stderr).splitlines()
    assert len(lines) < 10
    command = "snakemake all_metrics … --config run=other 'split={seed: 1}'"
    missing = f"results/other/data/mood/split.json is missing; make that run first ({command})"
    assert missing in "\n".join(lines)
    other = checkout / "results/other"
    for task in ("mood", "blame"):
        files = ("before.jsonl", "seed0/after.jsonl", "seed0/metrics.json")
        for path in (other / f"data/{task}/split.json", *(other / f"{task}/tiny/{name}" for name in files)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    run = plan(checkout, SMALL, more, "--printshellcmds")
    assert job_counts(run) == job_counts(run) | probed(2, ["variance"])
    read = [line[line.index("--results") + 1 :][:2] for line in commands_of(run) if line[1:3] == ["probe", "variance"]]
    assert read == [["results/small", "results/other"]] * 2


def test_a_carried_prompt_is_tried_on_the_items_and_at_the_rate_of_its_new_cell(checkout):
    words = commands_of(
        plan(
            checkout,
            "config/paper.yaml",
            {"carry": {"cells": ["math500-L1/qwen2.5-math-1.5b"], "steps": 7}},
            "--printshellcmds",
        )
    )
    (line,) = (line for line in words if line[1] == "transfer")
    flags = {
        flag: line[line.index(flag) + 1]
        for flag in ("--level", "--steps", "--learning-rate", "--own", "--to", "--model")
    }
    assert (flags["--level"], flags["--steps"], flags["--learning-rate"]) == ("1", "7", "0.01")
    assert flags["--own"] == line[line.index("--prompt-file") + 1]
    assert flags["--to"] == flags["--model"] == "Qwen/Qwen2.5-Math-1.5B"
    (distil,) = (line for line in words if line[1] == "distil")
    assert distil[distil.index("--budget") + 1] == "2000"


BAD = [
    ({"carry": {"cells": ["mood/tinny"]}}, "carry.cells: 'mood/tinny' is not in"),
    ({"carry": {"cells": ["mood/tiny"], "steps": 0}}, "carry.steps"),
    (CHAINED | {"carry": {"cells": ["mood/tiny"]}}, "carry: mood/tiny trains on labels, and tasks.mood on own_chain"),
    ({"probes": ["costs"]}, "probes.0: 'costs' is not one of"),
    ({"probes": ["variance"], "split_runs": ["small"]}, "split_runs: small is this run itself"),
    ({"tasks": {"mood": {"options": {"target": "chain"}}}}, "tasks.mood.options.target: 'chain' is not one of"),
    (
        CHAINED | {"sensitivity": {"cells": ["mood/tiny"], "learning_rates": [0.1], "epochs": 1}},
        "sensitivity: mood/tiny trains on labels, and tasks.mood on own_chain",
    ),
    ({"probes": ["cost"], "tasks": {"mood": {"shards": 2}}}, "tasks.mood.shards needs decode.block"),
]


@pytest.mark.parametrize(("more", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_value_is_one_short_error(checkout, more, message):
    run = plan(checkout, SMALL, more)
    assert run.returncode != 0
    told = run.stdout + run.stderr
    assert message in told
    assert len(told.splitlines()) < 10
    assert not (checkout / "results").exists()
