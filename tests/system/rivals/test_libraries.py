"""Faults of two libraries: the scripts still show them, and the page says what they print."""

import subprocess
import sys

import pytest
from places import ROOT

from embedgrad.rivals.environment import interpreter_of
from embedgrad.rivals.table import rival_named
from embedgrad_core.files import UserError


@pytest.mark.parametrize("name", ["adapters_llama_cache", "adapters_last_norm", "peft_left_padding"])
def test_the_page_says_what_a_script_prints(name):
    try:
        python = interpreter_of(rival_named("pfeiffer")) if name.startswith("adapters") else sys.executable
    except UserError as error:
        pytest.skip(str(error))
    script = f"docs/libraries/{name}.py"
    run = subprocess.run([python, script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stderr[-2000:]
    page = (ROOT / "docs/rivals_libraries.md").read_text(encoding="utf-8")
    told = page.split(f"$ python {script}\n")[1].split("\n```")[0].splitlines()
    # The first line names versions; torch's build depends on the machine.
    found = [line for line in run.stdout.splitlines() if line]
    assert found[1:] == told[1:]
    assert found[0].split(", torch")[0] == told[0].split(", torch")[0]
