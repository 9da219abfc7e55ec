"""A search for words that is killed goes on, and ends with the same bytes."""

import json
import signal
import subprocess
import sys
import time

import pytest
from places import ROOT
from tiny import tiny_model

from embedgrad_core.files import write_jsonl

LEAST = 8  # results that are kept when it is killed


@pytest.fixture
def on_disk(tokenizer, items, tmp_path):
    """A tiny model folder, a split, and a prompt that was optimised on it."""
    frozen = tiny_model(tokenizer)
    frozen.network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    for part in ("train", "dev", "test"):
        many = [
            type(item)(f"{item.id}/{part}{n}", f"{item.input} {part} {n}", item.target, item.answer)
            for n in range(3)
            for item in items
        ]
        write_jsonl(tmp_path / f"{part}.jsonl", [item.row() for item in many])
    files = [word for part in ("train", "dev") for word in (f"--{part}", tmp_path / f"{part}.jsonl")]
    more = ["--evaluator", "exact", "--max-new-tokens", 4, "--epochs", 1, "--out", tmp_path / "p.safetensors"]
    run = embedgrad("optimize", "--model", tmp_path / "model", "--prompt", "please reason step by step.", *files, *more)
    assert run.wait() == 0, run.stderr.read()
    return tmp_path


def embedgrad(*words):
    command = [sys.executable, "-m", "embedgrad", *map(str, words), "--threads", "1"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def distil(folder, out):
    """The search as a process, with its files in a folder of its own."""
    (folder / out).mkdir(exist_ok=True)
    data = ["--data", folder / "train.jsonl", "--dev", folder / "dev.jsonl", "--test", folder / "test.jsonl"]
    small = ["--budget", 400, "--answer-tokens", 3, "--candidates", 4, "--batch-size", 4]
    outputs = ["--out", folder / out / "words.txt", "--report", folder / out / "words.json"]
    return embedgrad("distil", "--prompt-file", folder / "p.safetensors", *data, *small, *outputs)


def test_sigkill_in_the_middle_then_again_gives_the_same_words(on_disk):
    undisturbed = distil(on_disk, "a")
    assert undisturbed.wait() == 0, undisturbed.stderr.read()
    process, state = distil(on_disk, "b"), on_disk / "b/words.state"
    while process.poll() is None and not (state.exists() and state.read_bytes().count(b'"place"') >= LEAST):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"
    assert not (on_disk / "b/words.txt").exists()
    again = distil(on_disk, "b")
    told, failed = again.communicate()
    assert again.returncode == 0, failed
    assert int(told.split("words.state: ")[1].split()[0]) >= LEAST, "what was found is not searched for again"
    for name in ("words.txt", "words.json"):
        assert (on_disk / "b" / name).read_bytes() == (on_disk / "a" / name).read_bytes()
    assert json.loads((on_disk / "b/words.json").read_text())["spent"] > 150
    assert not state.exists(), "nothing is left to resume"
