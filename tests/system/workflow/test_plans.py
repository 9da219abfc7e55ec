"""The workflow as a user plans it: what it counts, and what it refuses."""

import shlex
import shutil
from collections import Counter

import pytest
import yaml
from commands import job_counts, snakemake
from places import ROOT

from embedgrad.planning.effort.rivals import rival_jobs
from embedgrad.planning.run_config import RunConfig

pytestmark = pytest.mark.workflow


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


def test_recovery_beyond_what_is_free_is_asked_for_apart(checkout):
    run = snakemake(checkout, "--dry-run", "--configfile", "config/paper.yaml", "config/recovery.yaml")
    assert job_counts(run) == PAPER | {"editions": 1, "total": 196}


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


@pytest.mark.parametrize(("seeds", "rates", "timed"), [([0], 2, 0), ([4, 5, 6], 4, 7)])
def test_the_forecast_counts_the_jobs_of_other_methods_as_the_workflow_does(checkout, tmp_path, seeds, rates, timed):
    values = yaml.safe_load((ROOT / "config/demo_rivals.yaml").read_text())
    values["rivals"] |= {"seeds": seeds, "rates": rates, "latency": timed > 0}
    values["seeds"] = seeds  # the null control is held against the run's own cell of the first
    more = tmp_path / "more.yaml"
    more.write_text(yaml.safe_dump(values))
    files = ("config/demo.yaml", str(more))
    counts = job_counts(snakemake(checkout, "--dry-run", "--configfile", *files))
    forecast = Counter(rule for rule, _ in rival_jobs(RunConfig.read(ROOT / files[0], more)))
    assert forecast["rival_rate"] == 5 * rates
    assert forecast["rival_cost"] == timed
    assert forecast == {rule: counts[rule] for rule in forecast}


def test_another_run_takes_nothing_from_the_papers_configuration(checkout):
    run = snakemake(checkout, "--dry-run", "--configfile", "tests/configs/small.yaml")
    assert "forecast" not in run.stdout + run.stderr
    assert job_counts(run)["metrics"] == 2
    assert "paper.yaml" not in run.stdout + run.stderr


ERRORS = [
    (["--config", "sedes=[1]"], "unknown key 'sedes'; did you mean seeds?"),
    (
        ["--config", "cells=math500-L1/qwen2.5-math"],
        "did you mean math500-L1/qwen2.5-math-1.5b or math500-L1/qwen2.5-math-7b?",
    ),
    (["--config", "seeds=0_1"], "seeds=0_1: write seeds as whole numbers with commas between, as in seeds=0,1,2."),
    (["--config", "mirror=nowhere"], "mirror: nowhere is not a folder"),
    (
        ["results/paper/medd/qwen2.5-math-1.5b/seed0/metrics.json"],
        "medd/qwen2.5-math-1.5b is not in config/cells.tsv; did you",
    ),
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
