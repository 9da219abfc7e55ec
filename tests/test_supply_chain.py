"""What is installed and what is read: pinned, hashed, never pickled, never a repository's own code."""

import ast
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
PACKAGES = ("contracts", "embedgrad", "embedgrad_core", "evaluators", "reporting", "tasks", "workflow", "benchmarks")


def pins(name):
    found = PIN.findall((ROOT / name).read_text(encoding="utf-8"))
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


def test_every_pin_has_hashes_and_both_files_agree():
    text = (ROOT / "requirements.hashes").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[A-Za-z])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    for block in blocks:
        assert PIN.match(block), block[:60]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block[:60]
    # torch's build, and so its hash, depends on the machine.
    assert pins("requirements.hashes") == {k: v for k, v in pins("requirements.lock").items() if k != "torch"}


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


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_pickle_no_eval_no_code_of_a_repository(package):
    for path in (ROOT / package).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, keywords in calls(tree):
            assert name not in (
                "eval",
                "exec",
                "torch.load",
                "torch.save",
                "pickle.load",
                "pickle.loads",
                "yaml.load",
            ), path
            assert name.split(".")[-1] not in ("sympify", "parse_expr", "parse_latex"), path
            assert keywords.get("trust_remote_code", "False") == "False", path
            assert keywords.get("shell", "False") == "False", path
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not imported & {"pickle", "cloudpickle", "dill", "joblib"}, path
