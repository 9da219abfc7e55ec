"""`.ci/run` ends as its steps end: green when all did, red at the first that did not, nothing left behind.

The steps themselves are tested elsewhere; here they are programs that note their arguments and end as told."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / ".ci" / "run"
MAKE = """#!/bin/sh
echo "make $*" >> "$CALLS"
echo "Nothing to be done"
[ "$*" != "$FAILING" ]
"""
MODEL_TOOL = """#!/bin/sh
echo "model $2 mirror ${EMBEDGRAD_MIRROR##*/}" >> "$CALLS"
mkdir -p "$2/models"
[ "$FAILING" != model ]
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script alone, and programs of ours in place of make, apt-get and Python."""
    folder = tmp_path / "checkout"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(SCRIPT, folder / ".ci" / "run")
    program(tmp_path / "bin" / "make", MAKE)
    for name in ("apt-get", "chromedriver", "slurmd", "rsync"):
        program(tmp_path / "bin" / name, "#!/bin/sh\n")
    program(folder / ".venv" / "bin" / "python", MODEL_TOOL)
    return folder


def run(checkout: Path, failing: str = "") -> tuple[int, list[str]]:
    """The script's exit status and the steps it took, in order."""
    calls, temporary = checkout.parent / "calls", checkout.parent / "tmp"
    temporary.mkdir()
    environment = {
        "PATH": f"{checkout.parent / 'bin'}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "FAILING": failing,
        "TMPDIR": str(temporary),
    }
    ended = subprocess.run(
        ["bash", ".ci/run"], cwd=checkout, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert not list(temporary.iterdir()), "something was left behind"
    return ended.returncode, calls.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("mirror", [False, True])
def test_all_steps_green_is_green(checkout, mirror):
    if mirror:
        (checkout.parent / "shared" / "data").mkdir(parents=True)
        program(checkout.parent / "shared" / "tools" / "real_models.py", "")
    status, calls = run(checkout)
    assert status == 0
    steps = [
        call for call in calls if call != "make adapters" and call.startswith("make ")
    ]  # that one runs beside the others
    assert steps[:3] == ["make .venv/installed", "make lint", "make demo"]
    assert calls[-1] == "make test WORKERS=3"
    assert calls.count("make demo") == 2
    assert any(call.startswith("model ") for call in calls) is mirror


@pytest.mark.parametrize("failing", [".venv/installed", "lint", "demo", "test WORKERS=3"])
def test_a_step_that_fails_is_red_and_the_last(checkout, failing):
    status, calls = run(checkout, failing)
    assert status != 0
    assert f"make {failing}" in calls[-3:]  # what is made beside it may have started last
    assert failing.startswith("test") or "make test WORKERS=3" not in calls


@pytest.mark.parametrize("failing", ["adapters", "vllm", "gguf", "model"])
def test_an_extra_that_cannot_be_made_is_no_failure(checkout, failing):
    (checkout.parent / "shared" / "data").mkdir(parents=True)
    program(checkout.parent / "shared" / "tools" / "real_models.py", "")
    status, calls = run(checkout, failing)
    assert status == 0
    assert calls[-1] == "make test WORKERS=3"
