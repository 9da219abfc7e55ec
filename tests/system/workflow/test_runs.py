"""The workflow as a user starts it: plans, errors, and one real run on real weights and data."""

import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import tarfile

import pytest
from commands import job_counts, snakemake
from places import SNAKEMAKE

from embedgrad.cli import main

pytestmark = pytest.mark.workflow


def test_one_and_three_shards_fill_the_same_cell(checkout):
    """By the workflow; `tests/system/decoding/test_shards.py` holds one, two and seven against each other by the commands."""
    cell = "results/small/mood/tiny/seed0"
    files = [f"{cell}/after.outputs.jsonl", f"{cell}/after.jsonl", "results/small/mood/tiny/before.outputs.jsonl"]
    found, trained = set(), set()
    for shards in (1, 3):
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


def test_a_run_goes_on_from_what_was_kept_of_it(small_run, checkout):
    """Copied files are as old as each other at best: Snakemake takes them for outdated until it is told, as docs/laptop does."""
    arguments = [
        "--results",
        small_run / "results/small",
        "--figures",
        small_run / "figures/small",
        "--out",
        checkout / "kept",
    ]
    assert main(["keep", *map(str, arguments)]) == 0
    with tarfile.open(checkout / "kept/results.tar.xz") as archive:
        archive.extractall(checkout, filter="data")
    shutil.copytree(small_run / "results/small/models", checkout / "results/small/models")
    for age, path in enumerate(sorted((checkout / "results").rglob("*.json*"), reverse=True)):
        os.utime(path, (10**9 + age,) * 2)
    flags = ("--configfile", "tests/configs/small.yaml")
    assert snakemake(checkout, "--touch", *flags).returncode == 0
    left = job_counts(snakemake(checkout, "--dry-run", *flags))
    assert not set(left) & {
        "pretrain",
        "data",
        "baselines",
        "before",
        "optimize",
        "after",
        "analyse",
        "grade_after",
        "metrics",
    }
    shutil.rmtree(checkout / "results/small/mood/tiny/seed0")
    left = job_counts(snakemake(checkout, "--dry-run", *flags))
    assert (left["optimize"], left["after"], left["metrics"]) == (1, 1, 1)
    assert "before" not in left


def check_forecast(told, shards):
    """Before the first job, and only of what still has to run: with other shards that is answering alone."""
    before, _, _ = told.partition("rule ")
    trained, answered = re.search(
        r"^forecast: ([\d,]+) tokens to train on, ([\d,]+) to answer: \S+ s of", before, re.M
    ).groups()
    # 4 epochs over 64 items of each a few tokens; before and after each answer 80 items with 8.
    assert (int(trained.replace(",", "")) > 1000) == (shards == 1)
    # Before, up to the limit of 8 tokens; after, a label and the end.
    assert int(answered.replace(",", "")) == 80 * 8 + 80 * 2
    assert "a CPU, 1 thread" in before
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
    # Without the ladder of baselines, which answers everything eight times more and fills no cell of this row.
    targets = ("results/stories/table2.md", "figures/stories/before_after.png")
    arguments = ("--configfile", "tests/configs/stories.yaml")
    run = snakemake(checkout, *targets, *arguments, mirror=mirror)
    assert run.returncode == 0, run.stdout + run.stderr
    home = checkout / "results/stories"
    metrics = json.loads((home / "imdb/stories3m/seed0/metrics.json").read_text())
    assert metrics["n"] == 200
    assert sum(metrics["after"]["failures"].values()) == 200
    assert metrics["delta"]["points"] > 0
    assert metrics["mcnemar"]["p_exact"] < 0.01
    certificate = json.loads((home / "data/imdb/split.json").read_text())
    assert certificate["input_last_words"]["words"] == 40
    assert certificate["counts"]["train"]["n"] + certificate["counts"]["dev"]["n"] == 200
    assert "imdb" in (home / "table2.md").read_text()
    assert (checkout / "figures/stories/before_after.png").stat().st_size > 10_000
    again = snakemake(checkout, *targets, *arguments, mirror=mirror)
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
