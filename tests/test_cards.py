"""One job a card: real processes that claim cards which are only names here."""

import os
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from embedgrad import cards

CLAIM = """
import os, sys
from embedgrad import cards
cards.claim(int(sys.argv[1]), 0.05)
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


def job(tmp_path, count, visible):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": visible}
    command = [sys.executable, "-c", CLAIM, str(count)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_no_two_jobs_share_a_card(tmp_path):
    jobs = [job(tmp_path, 1, "0,1,2,3") for _ in range(2)] + [job(tmp_path, 2, "0,1,2,3")]
    given = [process.stdout.readline().strip() for process in jobs]
    assert sorted(",".join(given).split(",")) == ["0", "1", "2", "3"]
    late = job(tmp_path, 2, "0,1,2,3")
    assert late.stdout.readline() == "waiting for 2 of 4 cards\n"
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
    cards.claim(count)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == names
    assert not list(tmp_path.iterdir())


def test_no_card_is_visible_where_there_is_none(monkeypatch):
    for names, expected in (("", []), ("-1", []), ("1,3", ["1", "3"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
        assert cards.visible() == expected
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", "/nowhere")
    assert cards.visible() == []
