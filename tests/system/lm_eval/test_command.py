"""lm-eval as it is started: the README's command, wrong flags, the device, and the demo item by item."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import lm_eval.tasks
import pytest
import torch
from lm_eval.tasks._index import TaskIndex
from places import ROOT

from embedgrad_core.lm_eval.model import _names_device, main

PROMPT = "Determine whether the statement is positive or negative."


def readme_command():
    """The README's second lm-eval command, with this model's name."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"```\w*\n(.*?)```\n", text, re.DOTALL) if "embedgrad_core.lm_eval" in b)
    return "python -m" + block.replace("MODEL", "model").replace("\\\n", "").split("python -m")[2]


def test_the_readmes_command_as_printed(home):
    """On a machine without CUDA, which lm-eval's default device would be."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment |= {"PATH": f"{home}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}
    command = ["bash", "-euc", readme_command()]
    run = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stderr[-2000:]
    assert re.search(r"\|embedgrad_imdb\| .*\|acc +\|", run.stdout)


OWN_TASKS = {}


@pytest.fixture
def lm_evals_own_tasks_read_once(monkeypatch):
    """lm-eval reads the thousands of files of its own tasks at each start; once is enough here. Each folder is read by itself."""
    build, own = TaskIndex.build, Path(lm_eval.tasks.__file__).parent

    def built(paths, **how):
        paths = list(paths)
        if own in paths and not OWN_TASKS:
            OWN_TASKS.update(build([own], **how))
        found = dict(OWN_TASKS) if own in paths else {}
        return found | build([path for path in paths if path != own], **how)

    monkeypatch.setattr(TaskIndex, "build", staticmethod(built))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (('\'{"results": "results/paper"}\'', "'{'"), "Invalid JSON: {"),
        (("embedgrad_imdb", "embedgrad_imbd"), "Tasks not found: embedgrad_imbd"),
        (("prompt=prompt.safetensors,", ""), "--model_args names no prompt file"),
        (("pretrained=model", "pretrained=model,device=cuda:0"), "torch sees no CUDA device"),
        (("results/paper", "results/none"), "test.jsonl: no such file"),
    ],
)
def test_a_wrong_flag_is_one_line(home, changed, told, lm_evals_own_tasks_read_once, monkeypatch, capsys):
    monkeypatch.chdir(home)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", shlex.split(readme_command().replace(*changed))[2:])
    assert main() == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("embedgrad_core.lm_eval: ")
    assert told in last


def test_a_device_that_is_named_is_kept(tmp_path):
    (tmp_path / "flags.yaml").write_text("device: cpu\nlimit: 3\n")
    (tmp_path / "none.yaml").write_text("limit: 3\n")
    assert _names_device(["run", "--device", "cpu"])
    assert _names_device(["run", "--config", str(tmp_path / "flags.yaml"), "--tasks", "x"])
    assert not _names_device(["run", "-C", str(tmp_path / "none.yaml")])
    assert not _names_device(["run", "--tasks", "x", "--config", str(tmp_path / "gone.yaml")])
