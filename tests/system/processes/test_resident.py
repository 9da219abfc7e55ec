"""Jobs in a process that keeps its model: the same results as apart, and the same ends."""

import os
import signal
import subprocess
import sys
import time

import pytest
from disturb import CLOCKS
from places import ROOT
from tiny import tiny_model

from embedgrad.runtime import resident
from embedgrad.runtime.interruption import PARENT
from embedgrad_core.files import write_jsonl


@pytest.fixture(scope="module")
def home(tokenizer, items, tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    for name in ("model", "other"):
        tiny_model(tokenizer).network.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    for name, some in {"train": items, "dev": items[:4], "test": items[4:]}.items():
        write_jsonl(folder / f"{name}.jsonl", [item.row() for item in some])
    return folder


def words(home, out, rule, model="model", gpus=1, **more):
    common = ["--model", home / model, "--device", "cpu", "--threads", 1, "--gpus", gpus]
    text = ["--prompt", "step by step."]
    of_rule = {
        "optimize": [
            *("optimize", *common, *text, "--train", home / "train.jsonl", "--dev", home / "dev.jsonl", "--epochs", 2),
            *(
                "--learning-rate",
                0.01,
                "--evaluator",
                "exact",
                "--state",
                out / "state",
                "--out",
                out / "p.safetensors",
            ),
            *("--history", out / "history.jsonl", "--run-info", out / "optimize.run.json"),
        ],
        "before": [
            "decode",
            *common,
            *text,
            "--data",
            home / "test.jsonl",
            "--max-new-tokens",
            8,
            "--out",
            out / "b.jsonl",
        ],
        "after": [
            *("decode", *common, "--prompt-file", out / "p.safetensors", "--data", home / "test.jsonl"),
            *("--max-new-tokens", 8, "--out", out / "a.jsonl", "--run-info", out / "after.run.json"),
        ],
    }[rule]
    return [*map(str, of_rule), *(str(word) for pair in more.items() for word in (f"--{pair[0]}", pair[1]))]


def start(argv, log, folder=None):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    environment |= {resident.FOLDER: str(folder)} if folder else {}
    with log.open("wb") as out:
        return subprocess.Popen([sys.executable, "-m", "embedgrad", *argv], stdout=out, stderr=out, env=environment)


def job(argv, log, folder=None):
    return start(argv, log, folder).wait(timeout=600)


def told(path):
    """A log without the times and folders in it, which differ."""
    return [line.split(":")[0].rpartition("/")[2] for line in path.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "r"
    place.mkdir()
    yield place
    resident.dismiss(place)


def processes(folder):
    return sorted(path.stem for path in folder.glob("*.sock"))


def gone(folder):
    deadline = time.monotonic() + 30
    while processes(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes(folder)


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_cells_jobs_give_the_same_files_and_load_once(home, folder, tmp_path, gpus):
    """Optimise, before, after in one process: bytes, logs and exit codes of three; the model is loaded once."""
    seen = []
    for name, place in (("apart", None), ("together", folder)):
        out = tmp_path / name
        out.mkdir()
        for rule in ("optimize", "before", "after"):
            words_of = words(home, out, rule, gpus=gpus)
            assert job(words_of, out / f"{rule}.log", place) == 0, (out / f"{rule}.log").read_text()
            seen.append(processes(folder))
    assert seen[:3] == [[], [], []]
    assert len(seen[3]) == 1
    assert seen[3] == seen[4] == seen[5], "one process for all"
    apart, together = tmp_path / "apart", tmp_path / "together"
    for file in ("p.safetensors", "a.jsonl", "b.jsonl", "history.jsonl"):
        one, other = (CLOCKS.sub("", (side / file).read_bytes().decode("latin-1")) for side in (apart, together))
        assert one == other, file
    assert told(apart / "optimize.log") == told(together / "optimize.log")
    loading = [
        sum("device cpu" in line for line in (together / f"{rule}.log").open())
        for rule in ("optimize", "before", "after")
    ]
    assert loading == [1, 0, 0]


def test_the_ends_of_a_job_are_its_own(home, folder, tmp_path):
    """Wrong input, SIGTERM, SIGKILL: the job's exit code and line, the state that is kept, and no process left behind."""
    out, log = tmp_path / "out", tmp_path / "log"
    out.mkdir()
    # A fault is one line in the job's own log, and the next job starts clean.
    missing = [word.replace("test.jsonl", "none.jsonl") for word in words(home, out, "before")]
    assert job(missing, log, folder) == 2
    assert "none.jsonl" in log.read_text()
    assert not processes(folder)
    # Another model is loaded in the same process, in place of the first.
    assert job(words(home, out, "before"), log, folder) == 0
    (one,) = processes(folder)
    assert job(words(home, out, "before", "other"), log, folder) == 0
    assert processes(folder) == [one]
    assert "other: device cpu" in log.read_text()
    # A job that needs no GPU and loads no model leaves it where it is; one of several GPUs, or of another engine, has them free.
    assert job(["plan", "--config", str(ROOT / "config/demo.yaml")], log, folder) == 0
    assert processes(folder) == [one]
    assert job([word if word != "1" else "2" for word in words(home, out, "before")], log, folder) == 0
    assert not processes(folder)
    # Ended on the way, it saves its state; killed, it takes the process along. Then it goes on to the same bytes.
    for number, code in ((signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        running = start(words(home, out, "optimize", epochs="4000", patience="0"), log, folder)
        deadline = time.monotonic() + 300
        while not (out / "state").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        running.send_signal(number)
        assert running.wait(timeout=30) == code
        gone(folder)
        assert (out / "state").exists()
        assert not (out / "p.safetensors").exists()


def test_it_ends_with_the_snakemake_that_started_the_run(home, folder, tmp_path, monkeypatch):
    parent = subprocess.Popen(["sleep", "600"])
    monkeypatch.setenv(PARENT, str(parent.pid))
    assert job(words(home, tmp_path, "before"), tmp_path / "log", folder) == 0
    assert len(processes(folder)) == 1
    parent.kill()
    parent.wait()
    gone(folder)


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    own = resident.folder_for(7)
    assert own.stat().st_mode & 0o077 == 0
    own.parent.chmod(0o777)
    with pytest.raises(PermissionError, match="open to others"):
        resident.folder_for(8)
