"""The README's examples for a prompt of one's own as printed, and data of the hub (its server a stand-in)."""

import json
import os
import re
import subprocess
import sys

from hub_stand_in import hub
from places import ROOT
from tiny import REVIEWS

import embedgrad


def readme_block(language, must_hold):
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return next(block for block in blocks if must_hold in block)


def test_the_readmes_python_as_printed(home, tmp_path):
    """Only the model's name is another: the hub's is 0.5B, ours a folder."""
    code = readme_block("python", "import embedgrad").replace('"Qwen/Qwen2.5-0.5B-Instruct"', '"model"')
    assert len([line for line in code.splitlines() if line.strip()]) == 6
    for name in ("model", "reviews.csv", "more_reviews.csv"):
        (tmp_path / name).symlink_to(home / name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "exact McNemar p =" in run.stdout
    assert (tmp_path / "prompt.safetensors").exists()


def test_the_readmes_commands_as_printed(home, tmp_path):
    text = readme_block("", "embedgrad optimize --model").replace("Qwen/Qwen2.5-0.5B-Instruct", "model")
    for name in ("model", "reviews.csv", "more_reviews.csv"):
        (tmp_path / name).symlink_to(home / name)
    (tmp_path / "embedgrad").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m embedgrad "$@"\n')
    (tmp_path / "embedgrad").chmod(0o755)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    run = subprocess.run(
        ["bash", "-euc", text], cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "my-model" / "README.md").exists()


def test_data_of_the_hub(home, tmp_path):
    """Class numbers become the names that the data set's card gives them; what fails is one line."""
    names = "".join(f"\n          '{place}': {name}" for place, name in enumerate(("negative", "positive")))
    readme = (
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: rows.jsonl\n"
        "dataset_info:\n  features:\n  - name: text\n    dtype: string\n  - name: label\n    dtype:\n"
        f"      class_label:\n        names:{names}\n---\n"
    )
    rows = [
        {"text": f"{text} {place}", "label": int(label == "positive")} for place in range(4) for text, label in REVIEWS
    ]
    files = {"README.md": readme.encode(), "rows.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    out = tmp_path / "prompt.safetensors"
    flags = ["--prompt", "Is it good?", "--epochs", "1", "--evaluator", "label", "--labels", "positive,negative"]
    with hub({"me/films": files}, {}) as address:
        settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "OMP_NUM_THREADS": "1"}

        def optimize(*more):
            return subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "embedgrad",
                    "optimize",
                    "--model",
                    str(home / "model"),
                    "--out",
                    out,
                    *flags,
                    *more,
                ],
                cwd=ROOT,
                capture_output=True,
                text=True,
                env=inherited | settings,
                check=False,
                timeout=600,
            )

        absent = optimize("--data", "me/films", "--data-split", "validation")
        gone = optimize("--data", "me/nothing")
        assert not out.exists()
        run = optimize("--data", "me/films")
    for failed, told in (
        (absent, "data set me/films (config default, split validation"),
        (gone, "data set me/nothing"),
    ):
        assert failed.returncode == 2
        assert told in failed.stderr.splitlines()[-1]
    assert run.returncode == 0, run.stderr
    header = embedgrad.load(out, log=lambda line: None).prompt.header
    assert header["data"]["train"] + header["data"]["dev"] == 16
