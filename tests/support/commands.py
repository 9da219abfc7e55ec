"""Commands as tests give them: a real Snakemake, a command that must be refused, an optimisation on data of one's own."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from places import SNAKEMAKE


def snakemake(folder: Path, *arguments: str, mirror: Path | None = None) -> subprocess.CompletedProcess:
    """Start a real Snakemake in ``folder``, two cores, as a user would; without a mirror unless one is named."""
    environment = {key: value for key, value in os.environ.items() if key != "EMBEDGRAD_MIRROR"}
    # No token, no network: a plan needs neither.
    environment |= {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "", "CUDA_VISIBLE_DEVICES": ""}
    if mirror:
        environment["EMBEDGRAD_MIRROR"] = str(mirror)
    return subprocess.run(
        [SNAKEMAKE, "--cores", "2", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def job_counts(run: subprocess.CompletedProcess) -> dict[str, int]:
    """Jobs of each rule, and ``total``, that a dry run plans."""
    assert run.returncode == 0, run.stderr
    table = (run.stdout + run.stderr).split("Job stats:")[1]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def refused(capsys: pytest.CaptureFixture, words: list, *told: str) -> None:
    """Run a command that must fail with exit status 2 and one line that says all of ``told``."""
    from embedgrad.cli import main

    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(f"embedgrad {words[0]}")
    for part in told:
        assert str(part) in error


def tuning(home: Path, out: Path, *more: object) -> list:
    """The words of an `embedgrad optimize` on data of one's own."""
    data = ["--data", home / "reviews.csv", "--evaluator", "label", "--labels", "positive,negative"]
    return [
        "optimize",
        "--model",
        home / "model",
        "--prompt",
        "Is it good?",
        *data,
        "--max-new-tokens",
        "9",
        "--out",
        out,
        *more,
    ]
