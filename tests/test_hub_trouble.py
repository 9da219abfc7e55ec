"""A hub that answers 500, ends in the middle of a file, or never answers: bounded time, retries, then one error."""

import os
import subprocess
import sys
import time

import pytest
from conftest import ROOT, tiny_model
from hub_stand_in import hub

CHILD = """
import sys
from contracts import UserError
from embedgrad_core import load_model
try:
    frozen = load_model("me/tiny", device="cpu", say=lambda line: None)
    print("loaded", frozen.resolved, float(frozen.network.get_input_embeddings().weight.sum()))
except UserError as error:
    print("refused", error)
"""


@pytest.fixture(scope="module")
def files(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    tiny_model(tokenizer).network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def load(address, home, **environment):
    settings = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "HF_HUB_DOWNLOAD_TIMEOUT": "2",
        "HF_HUB_ETAG_TIMEOUT": "2",
    }
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    started = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=ROOT,
        env=inherited | settings | environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-1500:]
    return run.stdout.strip().splitlines()[-1], time.monotonic() - started


@pytest.mark.faults
@pytest.mark.parametrize("trouble", [["500"], ["half"], ["hang"]], ids=lambda kinds: kinds[0])
def test_trouble_that_passes_is_retried(files, tmp_path, trouble):
    with hub({}, {}, {"me/tiny": files}) as address:
        wanted, _ = load(address, tmp_path / "calm")
    with hub({}, {}, {"me/tiny": files}, list(trouble)) as address:
        told, _ = load(address, tmp_path / "troubled")
    assert told == wanted
    assert told.startswith("loaded 0123456789abcdef")


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["500", "half", "hang"])
def test_trouble_that_stays_is_one_error_in_bounded_time(files, tmp_path, kind):
    with hub({}, {}, {"me/tiny": files}, [kind] * 1000) as address:
        told, seconds = load(address, tmp_path)
    assert told.startswith("refused model me/tiny: ")
    assert len(told) < 500
    assert seconds < 120


@pytest.mark.faults
def test_what_is_cached_serves_when_the_hub_is_gone(files, tmp_path):
    with hub({}, {}, {"me/tiny": files}) as address:
        wanted, _ = load(address, tmp_path)
    assert load("http://127.0.0.1:9", tmp_path)[0] == wanted
    assert load(address, tmp_path, HF_HUB_OFFLINE="1")[0] == wanted
