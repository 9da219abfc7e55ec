"""What jobs ask a scheduler for, as Snakemake and the plan are started."""

import copy
import os
import re
import subprocess
import sys

import pytest
import yaml
from places import ROOT

PAPER = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))
assert PAPER["optimize"].pop("checkpointing") == "auto"
LARGE, MIDDLE, SMALL = "qwen2.5-14b-instruct", "qwen2.5-7b-instruct", "qwen2.5-0.5b-instruct"


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EMBEDGRAD_MIRROR", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))


def test_planning_needs_no_torch():
    code = (
        "import sys; from embedgrad.planning.run_config import RunConfig; c = RunConfig.read('config/paper.yaml');"
        "[c.resources.job(m, t) for m in c.values['models'] for t in (True, False)];"
        "[c.model_flags(m) for m in c.values['models']];"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_snakemake_and_plan_say_so_before_anything_starts(tmp_path):
    for name in ("Snakefile", "workflow", "config", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "1", "-n", "--config", "gpu=t4", "gpus_per_node=1"]
    plan = [sys.executable, "-m", "embedgrad", "plan", "--gpu", "t4", "--offline", "--config"]
    values = copy.deepcopy(PAPER) | {"gpus_per_node": 1}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    for command in (snakemake, [*plan, "mine.yaml"]):
        run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
        assert run.returncode != 0
        told = run.stdout + run.stderr
        assert "GB on one t4, which has 16 GB" in told
        assert "Traceback" not in told
    assert not (tmp_path / "results").exists()


def test_one_machine_gives_no_more_cards_than_it_has(tmp_path):
    for name in ("Snakefile", "workflow", "config", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "0"}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", "gpu=t4", f"cells=medd/{LARGE}"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert run.returncode != 0
    assert re.search(rf"model {LARGE}: \w+ needs \d GPUs, this machine gives 1; name a larger GPU", run.stderr)
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "results").exists()
