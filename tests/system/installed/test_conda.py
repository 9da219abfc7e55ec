"""The conda environment as conda and pip read it."""

import subprocess
import sys

import pytest
import yaml
from places import ROOT


def test_the_conda_environment_is_something_pip_understands(tmp_path):
    wanted = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"][-1]["pip"]
    (tmp_path / "requirements.txt").write_text(
        "\n".join(wanted).replace("--requirement ", f"--requirement {ROOT}/") + "\n"
    )
    check = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-build-isolation", "--requirement"]
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("this environment has no pip")
    run = subprocess.run(
        [*check, str(tmp_path / "requirements.txt")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "no such option" not in run.stderr
    assert run.returncode == 0, run.stderr[-500:]
