"""One job per GPU: real processes that claim GPUs which are only names here."""

import os
import subprocess
import sys
import time

import pytest
from places import ROOT

from embedgrad.runtime import gpus

CLAIM = """
import os, sys
from embedgrad.runtime import gpus
gpus.claim(int(sys.argv[1]), 0.05)
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


def job(tmp_path, count, visible):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": visible}
    command = [sys.executable, "-c", CLAIM, str(count)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_no_two_jobs_share_a_gpu(tmp_path):
    jobs = [job(tmp_path, 1, "0,1,2,3") for _ in range(2)] + [job(tmp_path, 2, "0,1,2,3")]
    given = [process.stdout.readline().strip() for process in jobs]
    assert sorted(",".join(given).split(",")) == ["0", "1", "2", "3"]
    late = job(tmp_path, 2, "0,1,2,3")
    assert late.stdout.readline() == "waiting for 2 of 4 GPUs\n"
    time.sleep(0.2)
    assert late.poll() is None
    jobs[2].kill()  # its locks end with it
    assert late.stdout.readline().strip() == given[2]
    for process in (*jobs, late):
        process.stdin.close()
        process.wait()


@pytest.mark.parametrize(("count", "names"), [(0, "0,1"), (2, "0,1"), (1, "GPU-8f3a"), (1, "")])
def test_what_a_scheduler_has_dealt_out_is_left_alone(tmp_path, monkeypatch, count, names):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
    gpus.claim(count)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == names
    assert not list(tmp_path.iterdir())


def test_no_gpu_is_visible_where_there_is_none(monkeypatch):
    for names, expected in (("", []), ("-1", []), ("1, 3", ["1", "3"]), ("2,-1,0", ["2"]), ("NoDevFiles", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
        assert gpus.visible() == expected
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", "/nowhere")
    assert gpus.visible() == []


LISTED = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb)
  MIG 3g.40gb     Device  0: (UUID: MIG-cccc)
  MIG 3g.40gb     Device  1: (UUID: MIG-dddd)
"""


@pytest.fixture
def listing(tmp_path, monkeypatch):
    """An nvidia-smi that lists a GPU and a divided one."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_a_divided_gpu_counts_as_its_parts(listing, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.visible() == ["0", "MIG-cccc", "MIG-dddd"]


def test_a_gpu_has_one_lock_by_number_and_by_uuid(listing, tmp_path):
    first = job(tmp_path, 1, "0,1")
    assert first.stdout.readline() == "0\n"
    second = job(tmp_path, 1, "GPU-aaaa,GPU-bbbb")
    assert second.stdout.readline() == "GPU-bbbb\n"
    for process in (first, second):
        process.stdin.close()
        process.wait()
