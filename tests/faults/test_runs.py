"""Real processes, killed, starved and raced against each other: nothing lost, nothing false, nothing left behind."""

import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from budget import times
from disturb import SNAKEMAKE, checkout, completed, disturbed, finish, leftovers, results, start
from places import ROOT

from embedgrad_core.files import read_json

CONFIG = "tests/configs/small.yaml"
# One cell to its numbers: every stage of a run, without the figures and tables of all cells.
CELL = ("results/small/mood/tiny/seed0/metrics.json",)
pytestmark = pytest.mark.faults


def test_killed_at_random_moments_and_started_again(small_run, tmp_path):
    folder = checkout(tmp_path / "killed")
    tally = disturbed(folder, CONFIG, times(4), random.Random(1), mean=6)
    assert sum(tally.injected.values()) >= 2  # a machine with other work meets fewer of these moments
    assert (tally.recomputed, tally.orphans, tally.slow) == ([], [], [])
    assert results(folder) == results(small_run)
    assert leftovers(folder) == []


def test_a_copy_at_another_path_goes_on_and_a_second_start_is_turned_away(small_run, tmp_path):
    folder = checkout(tmp_path / "first")
    process = start(folder, CONFIG, "--", *CELL)
    while not list(folder.glob("results/small/*/tiny/seed0/prompt.safetensors")):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = set(completed(folder))
    assert before
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy, symlinks=True)
    shutil.rmtree(folder)
    stamps = {name: (copy / name).stat().st_mtime_ns for name in before}
    first = start(copy, CONFIG, "--", *CELL)
    lock = copy / ".snakemake/embedgrad.small.lock"  # came along with the copy, with the killed one's name in it
    while f"process {first.pid} on" not in lock.read_text():
        assert first.poll() is None
        time.sleep(0.05)
    second = subprocess.run(
        [SNAKEMAKE, "--cores", "1", "--configfile", CONFIG],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode != 0
    assert f"run small is being made here by process {first.pid} on" in second.stderr
    assert "Traceback" not in second.stderr
    assert first.wait() == 0, (copy / "output.log").read_text()[-3000:]
    assert "left by a run that was killed; removed" in (copy / "output.log").read_text()
    assert {name: (copy / name).stat().st_mtime_ns for name in before} == stamps, "what was finished is not made again"
    wanted = results(small_run)
    assert CELL[0] in wanted
    assert results(copy) == {name: wanted[name] for name in results(copy)}
    assert set(CELL) <= results(copy).keys()
    assert leftovers(copy) == []


def test_clocks_that_jump(small_run, tmp_path):
    """Inputs from the future and outputs from the past are made again at worst, and say the same."""
    folder = tmp_path / "jump"
    shutil.copytree(small_run, folder, symlinks=True)
    for path, years in (("data/mood/test.jsonl", 1), ("mood/tiny/seed0/prompt.safetensors", 2), ("table2.csv", -20)):
        when = time.time() + years * 365 * 86400
        os.utime(folder / "results/small" / path, (when, when))
    status, told = finish(folder, CONFIG)
    assert status == 0, told[-3000:]
    assert results(folder) == results(small_run)


def test_a_loss_that_explodes_marks_its_cell_and_the_rest_goes_on(small_run, tmp_path):
    folder = tmp_path / "exploding"
    shutil.copytree(small_run, folder, symlinks=True)
    for task in ("mood", "blame"):  # both cells are made; the model, the data and the answers before are there
        shutil.rmtree(folder / f"results/small/{task}/tiny/seed0")
    table = folder / "tests/configs/small_cells.tsv"
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace("0.01", "1e8")
    table.write_text("\n".join(lines) + "\n")
    wanted = [f"results/small/{name}" for name in ("table2.md", "mood/tiny/seed0/metrics.json")]
    status, told = finish(folder, CONFIG, "--", *wanted)
    assert status == 0, told[-3000:]
    cells = {name: read_json(folder / f"results/small/{name}/tiny/seed0/metrics.json") for name in ("mood", "blame")}
    assert "stopped" in cells["mood"]["prompt"]
    assert cells["mood"]["prompt"]["best_epoch"] == 0
    assert cells["mood"]["before"]["correct"] == cells["mood"]["after"]["correct"]
    assert not cells["blame"]["prompt"]["stopped"]
    assert "optimisation stopped early, best prompt kept (seed 0:" in (folder / "results/small/table2.md").read_text()


def test_a_result_that_changed_on_disk_stops_what_reads_it(small_run, tmp_path):
    """One byte in each kind of file; either its reader names it, or the table is the same."""
    base = "results/small/mood/tiny/seed0"
    cases = {
        f"{base}/after.jsonl": "metrics.json",
        f"{base}/after.outputs.jsonl": "after.jsonl",
        f"{base}/prompt.safetensors": "after.outputs.jsonl",
        "results/small/data/mood/test.jsonl": "after.jsonl",
        f"{base}/metrics.json": "table2",
    }
    chance = random.Random(4)
    for place, (name, made) in enumerate(cases.items()):
        folder = tmp_path / str(place)
        shutil.copytree(small_run, folder, symlinks=True)
        path = folder / name
        data = bytearray(path.read_bytes())
        where = chance.randrange(len(data) // 2, len(data) - 2)
        data[where] ^= 1
        path.write_bytes(data)
        target = "results/small/table2.md" if made == "table2" else f"{base}/{made}"
        rule = {"metrics.json": "metrics", "after.jsonl": "grade_after", "after.outputs.jsonl": "after"}.get(made, made)
        status, told = finish(folder, CONFIG, "--forcerun", rule, "--rerun-triggers", "input", "--", target)
        assert status != 0, name
        assert path.name in told
        assert "Traceback" not in told


def test_a_temporary_file_anywhere_is_a_leftover(tmp_path):
    folder = checkout(tmp_path / "run")
    left = ["results/small/.a.json.12345678.tmp", "figures/small/.b.png.12345678.tmp", "tmp/tmpabcdefgh"]
    for name in left:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert sorted(leftovers(folder, 0)) == sorted(str(folder / name) for name in left)
