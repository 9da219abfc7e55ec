"""A hub that answers 500, ends in the middle of a file, or never answers: bounded time, retries, then one error."""

import os
import shutil
import subprocess
import sys

import pytest
from hub_stand_in import hub
from places import ROOT
from tiny import tiny_model

from embedgrad_core.files import UserError, check_snapshot

CHILD = """
import time
from embedgrad_core.files import UserError
from embedgrad_core import load_model
started = time.monotonic()
try:
    frozen = load_model("me/tiny", device="cpu", log=lambda line: None)
    print("loaded", frozen.resolved, float(frozen.network.get_input_embeddings().weight.sum()))
except UserError as error:
    print("refused", error)
print(time.monotonic() - started)
"""


@pytest.fixture(scope="module")
def files(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    tiny_model(tokenizer).network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def calm(files, tmp_path_factory):
    """A home whose cache was filled by a hub without trouble, and what the load told."""
    home = tmp_path_factory.mktemp("calm")
    with hub({}, {}, {"me/tiny": files}) as address:
        told, _ = load(address, home)
    return home, told


@pytest.fixture
def cached(calm, tmp_path):
    """A copy of that home for one test."""
    shutil.copytree(calm[0], tmp_path / "home", symlinks=True)
    return tmp_path / "home", calm[1]


def load(address, home, **environment):
    settings = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "HF_HUB_DOWNLOAD_TIMEOUT": "2",
        "HF_HUB_ETAG_TIMEOUT": "2",
    }
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    run = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=ROOT,
        env=inherited | settings | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-1500:]
    told, seconds = run.stdout.strip().splitlines()[-2:]
    return told, float(seconds)  # without the imports, which take minutes on a busy machine


@pytest.mark.faults
@pytest.mark.parametrize("trouble", [["500"], ["half"], ["hang"]], ids=lambda kinds: kinds[0])
def test_trouble_that_passes_is_retried(files, calm, tmp_path, trouble):
    with hub({}, {}, {"me/tiny": files}, list(trouble)) as address:
        told, _ = load(address, tmp_path / "troubled")
    assert told == calm[1]
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
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_cached_file_that_changed_is_refused_until_it_is_deleted(files, cached, name):
    home, wanted = cached
    with hub({}, {}, {"me/tiny": files}) as address:
        blob = next(home.glob(f"hub/models--me--tiny/snapshots/*/{name}")).resolve()
        data = bytearray(blob.read_bytes())
        data[-2] ^= 0x40  # the sign or size of a weight; in JSON a byte that is none
        blob.write_bytes(data)
        for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
            told, _ = load(address, home, **environment)
            assert told.startswith(f"refused model me/tiny: {name} in the hub's cache is not what the hub sent")
        assert f"Delete {blob}, and it is fetched again" in told
        blob.unlink()
        assert load(address, home)[0] == wanted


def test_small_files_are_named_by_git_s_hash(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0"
    for folder in (blobs, snapshot):
        folder.mkdir(parents=True)
    name = "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object of "hello\n"
    (blobs / name).write_text("hello\n")
    (snapshot / "config.json").symlink_to(blobs / name)
    (snapshot / "plain.json").write_text("no link")
    check_snapshot(snapshot, "model m")
    (blobs / name).write_text("hellp\n")
    with pytest.raises(UserError, match=rf"^model m: config\.json in the hub's cache .*Delete .*{name}"):
        check_snapshot(snapshot, "model m")


@pytest.mark.faults
def test_what_is_cached_serves_when_the_hub_is_gone(cached):
    home, wanted = cached
    assert load("http://127.0.0.1:9", home)[0] == wanted
    assert load("http://127.0.0.1:9", home, HF_HUB_OFFLINE="1")[0] == wanted
