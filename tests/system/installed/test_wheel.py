"""The wheel by itself: what README says works from an empty folder, with nothing of the checkout in sight."""

import os
import subprocess
import sys
import zipfile

import pytest
from places import ROOT, SNAKEMAKE


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder for PYTHONPATH that holds the wheel's packages; the libraries are this environment's."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy: setuptools writes beside its sources.
    names = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(names, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "benchmarks/", "docs/")):
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "source" / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", folder, folder / "source"], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed, folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1"}
    environment.pop("EMBEDGRAD_MIRROR", None)
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def embedgrad(installed, folder, *words):
    return run(installed, folder, sys.executable, "-m", "embedgrad", *words)


def test_it_holds_three_packages_and_no_more(installed):
    assert {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} == {
        "embedgrad",
        "embedgrad_core",
        "evaluators",
    }


def test_a_folder_is_laid_out_and_plans_the_demo(installed, tmp_path):
    made = embedgrad(installed, tmp_path, "init", "replication")
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "replication"
    planned = embedgrad(installed, folder, "plan", "--config", "config/demo.yaml", "--offline")
    assert planned.returncode == 0, planned.stderr
    dry = run(
        installed,
        folder,
        SNAKEMAKE,
        "--cores",
        "2",
        "--dry-run",
        "--quiet",
        "rules",
        "--configfile",
        "config/demo.yaml",
    )
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert "optimize" in dry.stdout
    again = embedgrad(installed, tmp_path, "init", "replication")
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert "replication" in again.stderr


def test_a_prompt_of_ones_own_from_an_empty_folder(installed, home, tmp_path):
    data = ["--data", home / "reviews.csv", "--evaluator", "label", "--labels", "positive,negative"]
    short = ["--epochs", "1", "--max-new-tokens", "4", "--out", "prompt.safetensors"]
    told = embedgrad(
        installed, tmp_path, "optimize", "--model", home / "model", "--prompt", "Is it good?", *data, *short
    )
    assert told.returncode == 0, told.stderr
    for words in (
        ["evaluate", "--data", home / "more_reviews.csv", "--prompt-file"],
        ["inspect"],
        ["generate", "A film.", "--prompt-file"],
    ):
        told = embedgrad(installed, tmp_path, *words, "prompt.safetensors")
        assert told.returncode == 0, told.stderr
