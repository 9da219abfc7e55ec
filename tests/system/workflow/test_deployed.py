"""The workflow as a module of somebody else's Snakefile, in a folder of their own: what snakedeploy makes."""

import os
import re
import shutil
import subprocess

import pytest
import yaml
from commands import snakemake
from places import ROOT

from embedgrad_core.files import read_json

pytestmark = pytest.mark.workflow

# As snakedeploy 0.17 writes it.
SNAKEFILE = """from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


module embedgrad:
    snakefile:
        {source}
    config:
        config


use rule * from embedgrad
"""
TAG = "v0"


def handlers():
    """The lines that config/README.md has people add."""
    text = (ROOT / "config/README.md").read_text(encoding="utf-8")
    return next(block for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) if block.startswith("onstart:"))


def deploy(folder, source):
    """A folder as snakedeploy leaves it, the demo chosen."""
    folder.mkdir()
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    shutil.copy(folder / "config/demo.yaml", folder / "config/config.yaml")
    (folder / "workflow").mkdir()
    (folder / "workflow/Snakefile").write_text(SNAKEFILE.format(source=source) + "\n\n" + handlers())
    return folder


def counts(run):
    """How many jobs of each rule are planned."""
    assert run.returncode == 0, run.stderr
    return dict(re.findall(r"^(\w+) +(\d+)$", run.stdout + run.stderr, re.MULTILINE))


def test_a_module_from_a_checkout_plans_the_demo(tmp_path, checkout):
    folder = deploy(tmp_path / "own folder", repr(str(ROOT / "workflow/Snakefile")))
    here = counts(snakemake(checkout, "--dry-run", "--configfile", "config/demo.yaml"))
    assert counts(snakemake(folder, "--dry-run")) == here
    assert int(here["metrics"]) >= 10


def test_a_module_from_a_repository_runs_and_refuses_as_a_checkout_does(tmp_path, monkeypatch):
    """Snakemake fetches the repository by git, which finds it on this disk."""
    work = tmp_path / "work"
    work.mkdir()
    for name in ("config", "workflow"):
        shutil.copytree(ROOT / name, work / name)
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, work)
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "--message", "All"], ["tag", TAG]):
        subprocess.run(["git", *words], cwd=work, check=True)
    (tmp_path / "origin/somebody").mkdir(parents=True)
    subprocess.run(["git", "clone", "--quiet", "--bare", work, tmp_path / "origin/somebody/embedgrad"], check=True)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{tmp_path}/origin/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    source = f'github("somebody/embedgrad", path="workflow/Snakefile", tag="{TAG}")'
    folder = deploy(tmp_path / "elsewhere", source)
    assert int(counts(snakemake(folder, "--dry-run"))["metrics"]) >= 10
    run = snakemake(folder, "results/demo/data/mood/split.json")
    assert run.returncode == 0, run.stderr
    assert read_json(folder / "results/demo/data/mood/split.json")["task"] == "mood"
    # By the lines that config/README.md adds: nothing starts for a model that cannot be had.
    shutil.copy(folder / "config/paper.yaml", folder / "config/config.yaml")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty_cache"))
    refused = snakemake(folder, "results/paper/imdb/qwen2.5-3b-instruct/before.outputs.jsonl")
    assert refused.returncode != 0
    assert "Qwen/Qwen2.5-3B-Instruct is not cached and the hub cannot be reached" in refused.stderr
    assert not (folder / "results/paper").exists()


def test_what_the_catalog_asks_for_is_there():
    """Its rules: the main Snakefile, the configuration's page, usage with flags, deployment and report."""
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert usage["mandatory-flags"]["flags"] == []
    assert set(usage["software-stack-deployment"]) == {"conda", "apptainer", "apptainer+conda"}
    for name in ("workflow/Snakefile", "config/README.md"):
        assert (ROOT / name).is_file()
    # Where a rule's conda environment is declared supported, one that Snakemake copies elsewhere must not name files beside it.
    beside = re.findall(r"--(?:requirement|editable) \S+", (ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert bool(beside) != usage["software-stack-deployment"]["conda"]
