"""The prepared GPU command, in little on a CPU: every part ends, is cut at its box, and may die without the others."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from places import ROOT

COMMAND = [sys.executable, str(ROOT / "benchmarks/on_gpu.py"), "--small"]
PARTS = ("facts", "correctness", "step", "decoding", "cell")
# What a machine that has torch, transformers and the usual scientific packages lacks of this suite's environment.
LACKING = """
import sys

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"datasets", "snakemake", "lm_eval", "math_verify", "latex2sympy2_extended", "antlr4", "gguf"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Lacking())
"""


def read(out):
    return [json.loads(line) for line in (out / "rows.jsonl").read_text(encoding="utf-8").splitlines()]


def start(out, *arguments, **more):
    command = [*COMMAND, "--out", str(out), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


@pytest.mark.mirror
def test_every_part_ends_without_what_a_bare_machine_lacks(tmp_path, mirror):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(LACKING, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    out = tmp_path / "out"
    # On a quiet machine it ends within 5 minutes; the boxes are limits, and a busy machine needs wider ones.
    process = start(out, "--minutes", "20", "--device", "cpu", "--mirror", str(mirror), env=environment)
    told, errors = process.communicate()
    assert process.returncode == 0, told + errors
    rows = read(out)
    log = (out / "log.txt").read_text(encoding="utf-8")
    assert not [row for row in rows if "error" in row], log[-3000:]
    only_on_a_gpu = "only a GPU's memory can be made to run out"
    assert not [row for row in rows if row.get("cut", only_on_a_gpu) != only_on_a_gpu]
    checks = [row for row in rows if "ok" in row]
    assert len(checks) == 28
    assert all(row["ok"] for row in checks)
    page = (out / "report.md").read_text(encoding="utf-8")
    assert page.startswith("# On a GPU\n\n28 of 28 checks passed; 0 errors, 2 cuts.\n")
    places = [page.index(f"## {part}\n") for part in PARTS]
    assert places == sorted(places)
    assert "Nothing yet." not in page
    (cell,) = (row for row in rows if row["name"] == "imdb/stories3m")
    assert cell["n"] == 30
    assert (out / "cells.tar.xz").stat().st_size > 1000


def test_a_part_is_cut_at_its_box(tmp_path):
    process = start(tmp_path, "--minutes", "0.01", "--device", "cpu", "--only", "correctness")
    begun = time.monotonic()
    told, errors = process.communicate()
    assert process.returncode == 0, told + errors
    assert time.monotonic() - begun < 60
    cut = [
        row
        for row in read(tmp_path)
        if "left in the box" in row.get("cut", "") or "ended from outside" in row.get("cut", "")
    ]
    assert cut
    assert " cuts.\n" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_part_that_dies_is_one_line(tmp_path):
    process = start(tmp_path, "--minutes", "1", "--device", "cpu", "--only", "correctness")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (found := children.read_text(encoding="ascii").split()):
        time.sleep(0.05)
    os.kill(int(found[0]), signal.SIGKILL)
    told, errors = process.communicate()
    assert process.returncode == 0, told + errors
    (died,) = (row for row in read(tmp_path) if "error" in row)
    assert (died["part"], died["error"]) == ("correctness", "died (SIGKILL): no word")
    assert "- correctness: error, died (SIGKILL)" in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_one_line(tmp_path):
    process = start(tmp_path / "out", "--minutes", "1")
    _, errors = process.communicate()
    assert process.returncode == 1
    (line,) = errors.splitlines()
    assert line.startswith("on_gpu: device cuda: ")
    assert line.endswith("; --device cpu --small runs every part in little.")
