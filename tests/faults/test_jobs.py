"""One command, killed, starved or with a full disk: nothing lost, nothing half-written, nothing left behind."""

import ctypes
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import pytest
from disturb import DEAF, processes
from places import ROOT
from reporting_samples import DEMO_SIZES, demo_cells, make_run
from tiny import tiny_model

from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import read_json, write_json, write_jsonl

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def small(tokenizer, items, tmp_path_factory):
    """A tiny model folder and a split."""
    folder = tmp_path_factory.mktemp("small")
    tiny_model(tokenizer).network.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    many = [type(item)(f"{item.id}/{n}", item.input, item.target, item.answer) for n in range(60) for item in items]
    write_jsonl(folder / "train.jsonl", [item.row() for item in many])
    write_jsonl(folder / "dev.jsonl", [item.row() for item in items])
    return folder


def optimize(folder, out, *more):
    return [
        *(sys.executable, "-m", "embedgrad", "optimize", "--model", str(folder / "model"), "--threads", "1"),
        *("--prompt", "please reason step by step.", "--train", str(folder / "train.jsonl")),
        *("--dev", str(folder / "dev.jsonl"), "--learning-rate", "0.01", "--epochs", "3", "--patience", "0"),
        *("--max-new-tokens", "8", "--out", str(out / "p.safetensors"), *more),
    ]


def test_sigterm_saves_the_steps_of_an_epoch(small, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    first, second = (optimize(small, out, "--epochs", "4") for out in (a, b))
    run = subprocess.run(first, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    process = subprocess.Popen(second, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch 1:"):
            began = time.monotonic()
        if line.startswith("epoch 2:"):
            time.sleep((time.monotonic() - began) / 2)  # into the middle of an epoch, however long one takes here
            break
    started = time.monotonic()
    process.terminate()
    told, error = process.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert process.returncode == 143
    assert "goes on from here" in error
    assert re.search(r"interrupted: \d+ steps of epoch [2-4] are saved", told)
    assert [path.name for path in b.iterdir()] == ["p.state"]
    again = subprocess.run(second, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "epoch 1:" not in again.stdout
    assert (b / "p.safetensors").read_bytes() == (a / "p.safetensors").read_bytes()


def test_a_job_ends_with_the_snakemake_that_started_it(small, tmp_path):
    parent = subprocess.Popen(["sleep", "600"])
    job = subprocess.Popen(
        optimize(small, tmp_path, "--epochs", "1000"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"EMBEDGRAD_PARENT": str(parent.pid)},
    )
    for line in job.stdout:
        if line.startswith("epoch 1:"):
            break
    parent.kill()
    parent.wait()
    job.communicate(timeout=60)
    assert job.returncode == 143


def test_a_process_that_cannot_listen_is_ended_all_the_same(tmp_path):
    """The main thread sits in a call that no signal interrupts, as in a long product."""
    code = f"from embedgrad.runtime import interruption\ninterruption.GRACE = 1.0\ninterruption.install()\n{DEAF}"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "at work\n"
    started = time.monotonic()
    process.terminate()
    assert process.wait(timeout=60) == 143  # the call itself takes many minutes
    assert time.monotonic() - started > 0.9, "it has its time to put things in order"


def limited(size):
    """A file may not grow beyond ``size`` bytes: writing fails as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_is_one_error_and_leaves_nothing_half_written(small, tmp_path):
    run = subprocess.run(
        optimize(small, tmp_path / "out"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited(900),
    )
    assert run.returncode == 2, run.stderr
    assert "cannot be written (File too large)" in run.stderr
    assert run.stderr.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("size", [900, 9000])  # smaller than the weights; smaller than the tokenizer alone
def test_a_full_disk_in_pretraining_is_one_error_and_leaves_nothing(tmp_path, size):
    spec = {"layers": 1, "width": 16, "heads": 2, "feed_forward": 16, "steps": 1, "batch_size": 2}
    if size > 900:
        spec |= {"width": 2, "feed_forward": 2}
    run = subprocess.run(
        [
            *(sys.executable, "-m", "embedgrad", "pretrain", "--name", "tiny", "--spec", json.dumps(spec)),
            *("--out", str(tmp_path / "models/tiny")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited(size),
    )
    assert run.returncode == 2, run.stderr
    assert "models/tiny: cannot be written (" in run.stderr
    assert run.stderr.count("\n") == 1
    assert list((tmp_path / "models").iterdir()) == []


def bound_by_modes():
    """Root writes past the modes of a folder; a child without this capability does not, and keeps its own files."""
    drop_from_bounding_set, dac_override = 24, 1  # prctl(2), capabilities(7)
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


def test_an_output_folder_that_cannot_be_written_to(small, tmp_path):
    (tmp_path / "a_file").touch()
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "p.safetensors").write_bytes(b"of an earlier run")
    closed.chmod(0o555)
    for out, why in ((tmp_path / "a_file", "is a file, not a folder; give"), (closed, "cannot be written to; give")):
        run = subprocess.run(
            optimize(small, out), cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=bound_by_modes
        )
        assert run.returncode == 2, run.stderr
        assert f"argument --out: {out / 'p.safetensors'}: " in run.stderr
        assert f"{out} {why} another place" in run.stderr
        assert run.stderr.count("\n") == 1
    assert [(path.name, path.read_bytes()) for path in closed.iterdir()] == [("p.safetensors", b"of an earlier run")]


def test_a_report_that_is_killed_leaves_nothing_in_the_temporary_folder(tmp_path):
    """Seen from the start of its drawing to the end of its writing."""
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    results = make_run(tmp_path / "results", cells[:2], DEMO_SIZES)
    (tmp_path / "tmp").mkdir()
    command = ["report", "--cell-table", str(tmp_path / "cells.tsv"), "--results", str(results)]
    code = (
        "import os, sys\nfrom embedgrad.reporting.figures import images\nfrom embedgrad.cli import main\n"
        "draw, made = images.as_svg, []\n"
        "def killed(figure):\n    made.append(draw(figure))\n    len(made) == 2 and os.kill(os.getpid(), 9)\n    return made[-1]\n"
        "images.as_svg = killed\nmain(sys.argv[1:])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *command, "--out", str(tmp_path / "report.html")],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_state_with_a_flipped_bit_is_refused(small, tmp_path):
    process = subprocess.Popen(optimize(small, tmp_path), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch 1"):
            break
    process.kill()
    process.communicate()
    state = tmp_path / "p.state"
    data = bytearray(state.read_bytes())
    data[-5] ^= 4
    state.write_bytes(data)
    run = subprocess.run(optimize(small, tmp_path), cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "p.state: unreadable resume state (its content does not fit its checksum); delete it" in run.stderr


def test_no_process_of_these_tests_is_left(small):
    assert not [line for line in processes(ROOT).values() if str(small) in line]


def test_metrics_written_by_hand_are_refused(tmp_path):
    write_json(tmp_path / "metrics.json", {"n": 3})
    text = (tmp_path / "metrics.json").read_text().replace('"n": 3', '"n": 4')
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(Exception, match=r"metrics\.json: the content does not fit its checksum"):
        read_json(tmp_path / "metrics.json")
    assert json.loads(text)["n"] == 4
