"""The workflow as a user starts it: plans, errors, and one real run on real weights and data."""

import contextlib
import json
import os
import pty
import re
import shlex
import shutil
import subprocess

import pytest
from commands import snakemake
from places import ROOT, SNAKEMAKE

pytestmark = pytest.mark.workflow


def job_counts(run):
    assert run.returncode == 0, run.stderr
    table = (run.stdout + run.stderr).split("Job stats:")[1]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


PAPER = {
    "data": 4,
    "before": 16,
    "grade_before": 16,
    "optimize": 26,
    "after": 26,
    "grade_after": 26,
    "metrics": 26,
    "baselines": 16,
    "analyse": 26,
    **dict.fromkeys(("table2", "summary", "audit", "report_page", "all"), 1),
    **dict.fromkeys(("before_after", "training_curves", "gain_figure", "entropy_figure"), 1),
    **dict.fromkeys(("anchoring_figure", "lat_figure", "ladder_figure", "limits_figure"), 1),
    "total": 195,
}


def test_the_paper_is_planned_with_nothing_at_hand(checkout):
    assert job_counts(snakemake(checkout, "--dry-run")) == PAPER


def test_the_inner_snakefile_plans_the_same(checkout):
    assert job_counts(snakemake(checkout, "--dry-run", "--snakefile", "workflow/Snakefile")) == PAPER


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_a_run_may_lie_in_another_folder(checkout, tmp_path, snakefile):
    """--directory, as the message of a run that is locked advises; what the checkout brings is still found."""
    other = tmp_path / "another place"
    assert job_counts(snakemake(checkout, "--dry-run", "--snakefile", snakefile, "--directory", str(other))) == PAPER
    demo = ("--dry-run", "--snakefile", snakefile, "--directory", str(other), "--configfile", "config/demo.yaml")
    assert job_counts(snakemake(checkout, *demo))["optimize"] >= 10


def test_the_papers_run_under_another_name(checkout):
    assert job_counts(snakemake(checkout, "--dry-run", "--config", "run=mine")) == PAPER


def test_the_command_of_a_cell_survives_blanks_in_a_path(checkout):
    folder = checkout / "my configs"
    folder.mkdir()
    shutil.copy(ROOT / "config/demo.yaml", folder / "demo.yaml")
    run = snakemake(checkout, "--dry-run", "--printshellcmds", "--configfile", "my configs/demo.yaml")
    assert run.returncode == 0, run.stderr
    (line,) = (line for line in (run.stdout + run.stderr).splitlines() if "embedgrad report" in line)
    words = shlex.split(line)
    command = shlex.split(words[words.index("--command-line") + 1])
    assert command[command.index("--configfile") + 1].endswith("my configs/demo.yaml")


def test_one_cell_needs_only_its_own_jobs(checkout):
    counts = job_counts(
        snakemake(checkout, "--dry-run", "results/paper/math500-L1/qwen2.5-math-1.5b/seed0/metrics.json")
    )
    one_each = ("data", "before", "grade_before", "optimize", "after", "grade_after", "metrics")
    assert counts == {**dict.fromkeys(one_each, 1), "total": 7}


def test_the_figures_of_the_prompts_need_no_metrics(checkout):
    counts = job_counts(snakemake(checkout, "--dry-run", "figures/paper/anchoring.png", "figures/paper/lat.pdf"))
    each = dict.fromkeys(("optimize", "after", "analyse"), 26)
    assert counts == {"data": 4, "before": 16, **each, "anchoring_figure": 1, "lat_figure": 1, "total": 100}


@pytest.mark.parametrize("seeds", ["seeds=[0,1,2]", "seeds=0,1,2"])
def test_seeds_share_one_before(checkout, seeds):
    run = snakemake(checkout, "--dry-run", "--config", seeds, "cells=imdb/qwen2.5-3b-instruct")
    counts = job_counts(run)
    assert (counts["before"], counts["optimize"], counts["metrics"]) == (1, 3, 3)


def test_the_demo_has_at_least_ten_cells(checkout):
    counts = job_counts(snakemake(checkout, "--dry-run", "--configfile", "config/demo.yaml"))
    assert counts["metrics"] >= 10
    assert counts["pretrain"] == 2


def test_another_run_takes_nothing_from_the_papers_configuration(checkout):
    run = snakemake(checkout, "--dry-run", "--configfile", "tests/configs/small.yaml")
    assert "forecast" not in run.stdout + run.stderr
    assert job_counts(run)["metrics"] == 2
    assert "paper.yaml" not in run.stdout + run.stderr


def test_one_two_and_seven_shards_fill_the_same_cell(checkout):
    cell = "results/small/mood/tiny/seed0"
    files = [f"{cell}/after.outputs.jsonl", f"{cell}/after.jsonl", "results/small/mood/tiny/before.outputs.jsonl"]
    found, trained = set(), set()
    for shards in (1, 2, 7):
        more = checkout / "shards.yaml"
        more.write_text(f"decode: {{block: 9}}\ntasks: {{mood: {{shards: {shards}}}}}\n")
        run = snakemake(checkout, "--configfile", "tests/configs/small.yaml", str(more), "--", f"{cell}/metrics.json")
        assert run.returncode == 0, run.stderr
        check_forecast(run.stderr, shards)
        found.add(tuple((checkout / name).read_bytes() for name in files))
        trained.add((checkout / cell / "prompt.safetensors").stat().st_mtime_ns)
        assert json.loads((checkout / cell / "after.run.json").read_text()).get("shards", 1) == shards
        assert not list(checkout.glob("results/**/shards/*"))
    assert (len(found), len(trained)) == (1, 1)


def check_forecast(told, shards):
    """Before the first job, and only of what still has to run: with other shards that is answering alone."""
    before, _, _ = told.partition("rule ")
    trained, answered = re.search(
        r"^forecast: ([\d,]+) tokens to train on, ([\d,]+) to answer: \S+ s of", before, re.M
    ).groups()
    # 4 epochs over 64 items of each a few tokens; before and after each answer 80 items with 8.
    assert (int(trained.replace(",", "")) > 1000) == (shards == 1)
    assert int(answered.replace(",", "")) == 2 * 80 * 8
    assert "a CPU, 1 threads" in before
    assert ("making of 1 tiny model" in before) == (shards == 1)
    assert told.count("forecast: ") == 2
    assert "left at this pace" not in told  # a log has Snakemake's own lines alone


def test_a_terminal_is_told_the_time_left(checkout):
    """Two jobs of one forecast: behind the first the other takes as long again, behind the second nothing is left."""
    terminal, end = pty.openpty()
    targets = [f"results/small/data/{task}/split.json" for task in ("mood", "blame")]
    flags = ["--cores", "1", "--configfile", "tests/configs/small.yaml", "--", *targets]
    process = subprocess.Popen([SNAKEMAKE, *flags], cwd=checkout, stdout=subprocess.DEVNULL, stderr=end)
    os.close(end)
    told = b""
    with contextlib.suppress(OSError):  # so a terminal says that nobody writes to it any more
        while part := os.read(terminal, 4096):
            told += part
    os.close(terminal)
    assert process.wait() == 0, told
    first, second = re.split(rb"2 of 2 steps", told)
    assert re.search(rb"1 of 2 steps \(50%\) done\S*\s+about \d+ s left at this pace", first)
    assert b"left at this pace" not in second


ERRORS = [
    (["--config", "sedes=[1]"], "unknown key 'sedes'; did you mean 'seeds'?"),
    (["--config", "cells=math500-L1/qwen2.5-math"], "did you mean math500-L1/qwen2.5-math-7b?"),
    (["--config", "seeds=0_1"], "seeds=0_1: write seeds as whole numbers with commas between, as in seeds=0,1,2."),
    (["--config", "mirror=nowhere"], "mirror: nowhere is not a folder"),
    (["--configfile", "tests/configs/stories.yaml"], "models.stories3m.folder: models/stories3M is not a folder"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS, ids=[message for _, message in ERRORS])
def test_a_wrong_configuration_is_one_short_error(checkout, arguments, message):
    run = snakemake(checkout, "--dry-run", *arguments)
    assert run.returncode != 0
    told = run.stdout + run.stderr
    assert message in told
    assert len(told.splitlines()) < 10
    assert not (checkout / "results").exists()


def test_models_that_cannot_be_had_are_named_before_any_job_starts(checkout, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(checkout / "empty_cache"))
    for _ in range(2):  # and the first leaves no lock behind
        run = snakemake(checkout, "--configfile", "config/laptop.yaml")
        told = run.stdout + run.stderr
        assert run.returncode != 0
        assert told.count("is not cached and the hub cannot be reached") == 2
        assert "model smollm2-135m-instruct: HuggingFaceTB/SmolLM2-135M-Instruct" in told
        assert "Traceback" not in told
        assert not (checkout / "results").exists()


@pytest.mark.mirror
def test_real_data_are_prepared_with_the_papers_counts(checkout, mirror):
    run = snakemake(checkout, "--until", "data", "--config", f"mirror={mirror}")
    assert run.returncode == 0, run.stderr
    counts = {}
    for task in ("math500", "imdb", "medd", "causal_judgment"):
        certificate = json.loads((checkout / f"results/paper/data/{task}/split.json").read_text())
        counts[task] = certificate["counts"]["test"]["n"]
        lines = (checkout / f"results/paper/data/{task}/test.jsonl").read_text().splitlines()
        assert len(lines) == counts[task]
    assert counts == {"math500": 251, "imdb": 84, "medd": 2080, "causal_judgment": 95}


@pytest.mark.mirror
def test_a_mirror_with_a_missing_or_other_file_is_one_clear_error(checkout, mirror, tmp_path):
    partial = tmp_path / "mirror"
    (partial / "data").mkdir(parents=True)
    (partial / "data/math500.jsonl").write_bytes((mirror / "data/math500.jsonl").read_bytes() + b"\n")
    run = snakemake(checkout, "--until", "data", "--config", f"mirror={partial}", "--keep-going")
    assert run.returncode != 0
    told = run.stdout + run.stderr
    assert "math500.jsonl" in told
    assert "sha256" in told
    assert "imdb_subset.jsonl" in told
    assert "Traceback" not in told
    assert not list((checkout / "results/paper/data").glob("*/split.json"))


@pytest.mark.mirror
def test_real_weights_on_real_reviews_fill_a_row(checkout, mirror):
    arguments = ("--configfile", "tests/configs/stories.yaml")
    run = snakemake(checkout, *arguments, mirror=mirror)
    assert run.returncode == 0, run.stdout + run.stderr
    home = checkout / "results/stories"
    metrics = json.loads((home / "imdb/stories3m/seed0/metrics.json").read_text())
    assert metrics["n"] == 400
    assert sum(metrics["after"]["failures"].values()) == 400
    assert metrics["delta"]["points"] > 0
    assert metrics["mcnemar"]["p_exact"] < 0.01
    certificate = json.loads((home / "data/imdb/split.json").read_text())
    assert certificate["input_last_words"]["words"] == 40
    assert certificate["counts"]["train"]["n"] + certificate["counts"]["dev"]["n"] == 400
    assert "imdb" in (home / "table2.md").read_text()
    assert (checkout / "figures/stories/before_after.png").stat().st_size > 10_000
    again = snakemake(checkout, *arguments, mirror=mirror)
    assert "Nothing to be done" in again.stdout + again.stderr
    assert "forecast" not in again.stderr
    same_seed_again(checkout, home, arguments, mirror)


def same_seed_again(checkout, home, arguments, mirror):
    """The same seed from nothing gives the same prompt and the same answers, byte for byte."""
    cell = home / "imdb/stories3m/seed0"
    names = ("prompt.safetensors", "after.jsonl")
    first = [(cell / name).read_bytes() for name in names]
    shutil.rmtree(cell)
    run = snakemake(checkout, "results/stories/imdb/stories3m/seed0/after.jsonl", *arguments, mirror=mirror)
    assert run.returncode == 0, run.stderr
    assert [(cell / name).read_bytes() for name in names] == first
