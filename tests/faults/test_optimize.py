"""An optimisation that is killed in the middle of an epoch goes on, and ends with the same bytes."""

import json
import signal
import subprocess
import sys
import time

import pytest
from places import ROOT
from tiny import tiny_model

from embedgrad_core.files import write_jsonl

PROMPT = "please reason step by step."


@pytest.fixture
def on_disk(tokenizer, items, tmp_path):
    """A tiny model folder and a split, as the command finds them."""
    frozen = tiny_model(tokenizer)
    frozen.network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    many = [type(item)(f"{item.id}/{n}", item.input, item.target, item.answer) for n in range(40) for item in items]
    write_jsonl(tmp_path / "train.jsonl", [item.row() for item in many])
    write_jsonl(tmp_path / "dev.jsonl", [item.row() for item in items])
    return tmp_path


def command(folder, out, *more):
    return [
        *(sys.executable, "-m", "embedgrad", "optimize", "--model", str(folder / "model"), "--threads", "1"),
        *("--prompt", PROMPT, "--train", str(folder / "train.jsonl"), "--dev", str(folder / "dev.jsonl")),
        *(
            "--learning-rate",
            "0.01",
            "--epochs",
            "4",
            "--patience",
            "0",
            "--max-new-tokens",
            "8",
            "--out",
            str(folder / out / "p.safetensors"),
        ),
        *("--history", str(folder / out / "h.jsonl"), "--run-info", str(folder / out / "r.json"), *more),
    ]


def test_sigkill_in_the_middle_then_again_gives_the_same_bytes(on_disk):
    undisturbed = subprocess.run(command(on_disk, "a"), cwd=ROOT, capture_output=True, text=True)
    assert undisturbed.returncode == 0, undisturbed.stderr
    process = subprocess.Popen(command(on_disk, "b"), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch 1:"):
            began = time.monotonic()
        if line.startswith("epoch 2:"):
            time.sleep((time.monotonic() - began) / 2)  # into the middle of the next one, however long one takes here
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    assert not (on_disk / "b/p.safetensors").exists()
    again = subprocess.run(command(on_disk, "b"), cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "epoch 1:" not in again.stdout, "finished epochs are not repeated"
    assert (on_disk / "b/p.safetensors").read_bytes() == (on_disk / "a/p.safetensors").read_bytes()
    assert len((on_disk / "b/h.jsonl").read_text().splitlines()) == 5
    assert not list((on_disk / "b").glob("*.state")), "nothing is left to resume"
    assert json.loads((on_disk / "b/r.json").read_text())["epochs_run"] == 4
