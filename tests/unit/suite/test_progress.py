"""Where long work is: when a line comes and what it says, by a clock of the test's own; and that real work reports itself."""

import json
import re
import threading
from itertools import pairwise

import pytest

from embedgrad.cli import main
from embedgrad.runtime import progress
from embedgrad.runtime.progress import Epochs, Progress
from embedgrad_core.files import write_jsonl


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def told(steps, total, **more):
    """The lines of a phase with the seconds since its start, from (seconds, what is called, with what) steps."""
    clock, lines = Clock(), []
    with Progress("phase", total, lambda line: lines.append((clock.seconds - 1000, line)), now=clock, **more) as at:
        for seconds, name, *values in steps:
            clock.seconds = 1000 + seconds
            getattr(at, name)(*values)
    return lines


def test_slow_work_tells_every_half_minute():
    """1,000 items at one in 4 s: 30 s pass long before 5 % do."""
    lines = told([(4 * done, "update", done) for done in range(1, 1001)], 1000)
    times = [0, *(seconds for seconds, _ in lines)]
    assert max(later - earlier for earlier, later in pairwise(times)) <= 30
    assert lines[0] == (28, "phase: 7 of 1000 items (1 %), 0.25 items/s, 66 min left")
    assert lines[-1] == (4000, "phase: 1000 of 1000 items (100 %), 0.25 items/s, took 67 min")
    assert len(lines) == 143


def test_faster_work_tells_every_twentieth():
    """1,000 items at 2.5 a second: 5 % are 20 s."""
    lines = told([(done / 2.5, "update", done) for done in range(1, 1001)], 1000)
    assert [seconds for seconds, _ in lines] == [20 * part for part in range(1, 21)]
    assert lines[4] == (100, "phase: 250 of 1000 items (25 %), 2.5 items/s, 5 min left")


def test_what_is_over_in_a_moment_tells_once():
    assert told([(done / 100, "update", done) for done in range(1, 51)], 50) == [
        (0.5, "phase: 50 of 50 items (100 %), 100 items/s, took 0 s")
    ]
    assert told([(done / 100, "update", done) for done in range(1, 51)], 50, last=False) == []


def test_few_long_answers_tell_before_the_first_has_ended():
    """Four answers, a step a second, 400 steps each: 5 % of the work come every 20 s, and at most so long is left."""
    lines = told([(step, "under_way", 4 * step / 400) for step in range(1, 100)], 4)
    assert [seconds for seconds, _ in lines[:4]] == [20, 40, 60, 80]
    assert lines[0][1] == "phase: 0 of 4 items (5 %), 0.01 items/s, at most 6 min left"
    # Once an answer has ended, what is under way is only that.
    lines = told([(30, "under_way", 1.0), (60, "update", 1), (60, "under_way", 0.5), (90, "under_way", 1)], 4)
    assert [line for _, line in lines[:3]] == [
        "phase: 0 of 4 items (25 %), 0.0333 items/s, at most 2 min left",
        "phase: 1 of 4 items (25 %), 0.0167 items/s, 3 min left",
        "phase: 1 of 4 items (50 %), 0.0222 items/s, 2 min left",
    ]


def test_what_an_earlier_run_did_counts_for_the_share_alone():
    lines = told([(30, "update", 60), (60, "update", 70)], 100, done=50)
    assert [line for _, line in lines[:2]] == [
        "phase: 60 of 100 items (60 %), 0.333 items/s, 2 min left",
        "phase: 70 of 100 items (70 %), 0.333 items/s, 2 min left",
    ]


def test_words_about_what_comes_after():
    lines = told([(10, "update", 50)], 100, unit="texts", further=lambda rate: f"then {20 / rate:.0f} s of others")
    assert lines[0][1] == "phase: 50 of 100 texts (50 %), 5 texts/s, 10 s left, then 4 s of others"


def test_a_number_that_only_the_work_knows():
    lines = told([(10, "of", 3, 4)], None)
    assert lines[0][1] == "phase: 3 of 4 items (75 %), 0.3 items/s, 3 s left"
    # It may end without having said how many; what took but a moment is worth no line then.
    assert told([(4, "under_way", 0)], None, last=False) == []
    assert told([(5, "under_way", 0)], None, last=False) == [(5, "phase: took 5 s")]


def test_a_phase_that_was_over_before_it_could_report():
    assert told([], 8) == [(0, "phase: 8 items, took 0 s")]


def test_work_that_reports_nothing_is_told_of_all_the_same(monkeypatch):
    """One long forward pass, or another engine's whole run: the timer speaks for it."""
    lines, spoken = [], threading.Event()

    def log(line):
        lines.append(line)
        spoken.set()

    monkeypatch.setattr(progress, "EVERY", 0.01)
    with Progress("phase", 7, log) as at:
        assert spoken.wait(60)
    assert lines[0] == "phase: 0 of 7 items, 0 s so far"
    assert not at._timer.is_alive()


def test_a_phase_that_fails_says_no_last_line():
    lines = []
    with pytest.raises(ValueError, match="of the work"), Progress("phase", 2, lines.append, now=Clock()):
        raise ValueError("of the work")
    assert lines == []


def test_training_says_what_all_epochs_take():
    """Epoch 0 checks dev for 10 s, epoch 1 trains at an item in 3 s: 90 s, then a check, then a whole epoch like it."""
    clock, lines = Clock(), []
    with Epochs(2, lines.append, now=clock) as epochs:
        epochs.on_progress(0, "dev loss", 0, 5)
        clock.seconds += 6
        epochs.begin("dev answers", 5)
        clock.seconds += 4
        epochs.end()
        epochs.on_progress(1, "train", 0, 40)
        clock.seconds += 30
        epochs.on_progress(1, "train", 10, 40)
        clock.seconds += 30
        epochs.on_progress(1, "train", 20, 40)
        epochs.on_progress(1, "dev loss", 0, 5)
        clock.seconds += 30
        epochs.on_progress(1, "dev loss", 2, 5)
    assert lines == [
        "dev loss, epoch 0 of at most 2: 5 items, took 6 s",
        "train, epoch 1 of at most 2: 10 of 40 items (25 %), 0.333 items/s, 2 min left, at most 4 min for all epochs",
        "train, epoch 1 of at most 2: 20 of 40 items (50 %), 0.333 items/s, 60 s left, at most 3 min for all epochs",
        "dev loss, epoch 1 of at most 2: 2 of 5 items (40 %), 0.0667 items/s, 45 s left",
    ]


def test_a_terminal_gets_a_bar_in_place_of_lines(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Progress("phase", 40, print) as at:
        at.bar.mininterval = 0  # a bar is drawn ten times a second at most
        at.under_way(2.0)
        for done in range(1, 41):
            at.update(done)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "phase:" in printed.err
    assert "40/40 [" in printed.err


@pytest.fixture
def at_once(monkeypatch):
    """A line at each report of the work."""
    monkeypatch.setattr("embedgrad.runtime.progress.EVERY", 0)


@pytest.fixture
def files(home, items, tmp_path):
    """Items as a file, and the flags that the commands share."""
    write_jsonl(tmp_path / "items.jsonl", [item.row() | {"level": None} for item in items])
    return tmp_path / "items.jsonl", ["--model", str(home / "model"), "--max-new-tokens", "12", "--threads", "1"]


def phases(printed):
    """The lines of each phase, in the order of their coming."""
    found: dict[str, list[str]] = {}
    for line in printed.splitlines():
        name, _, rest = line.partition(": ")
        if re.match(r"\d+ of \d+ \w+ \(\d+ %\), |\d+ \w+, took ", rest):
            found.setdefault(name, []).append(rest)
    return found


def test_a_real_decoding_reports_each_step(files, tmp_path, capsys, at_once):
    """Eight answers of up to twelve tokens in two slots: lines come while no answer has ended."""
    data, flags = files
    out = ["--decode-batch-size", "2", "--out", str(tmp_path / "out.jsonl")]
    assert main(["decode", *flags, "--prompt", "step by step.", "--data", str(data), *out]) == 0
    lines = phases(capsys.readouterr().out)["answers"]
    assert lines[0].startswith("0 of 8 items (2 %), ")
    assert " items/s, at most " in lines[0]
    assert lines[-1].startswith("8 of 8 items (100 %), ")
    done = [int(line.split()[0]) for line in lines]
    assert done == sorted(done)
    assert set(done) == set(range(9))
    shares = [int(line.split("(")[1].split(" %")[0]) for line in lines]
    assert len(lines) > 40
    assert max(shares) == 100


def test_every_rung_and_layout_reports(files, tmp_path, capsys, at_once):
    data, flags = files
    out = {name: tmp_path / f"{name}.json" for name in ("ladder", "recovery")}
    words = [word for name, path in out.items() for word in (f"--{name}", str(path))]
    more = [
        "--evaluator",
        "exact",
        "--prompt",
        "step by step.",
        "--data",
        str(data),
        "--dev",
        str(data),
        "--train",
        str(data),
    ]
    assert main(["baselines", *flags, *more, *words]) == 0
    found = phases(capsys.readouterr().out)
    rungs = json.loads(out["ladder"].read_text())["rungs"]
    assert len(rungs) > 3
    for rung in rungs:
        for split in ("test", "dev"):
            lines = found[f"ladder, {rung}, {split}"]
            # The data are the same, and bare and chat answers are looked up the second time.
            if rung in ("bare", "chat") and split == "dev":
                assert re.fullmatch(r"8 items, took \d+ s", lines[0])
            else:
                assert lines[0].startswith("0 of 8 items (")
                assert lines[-1].startswith("8 of 8 items (100 %), ")
    assert all(len(found[f"protocol search, {layout} layout"]) == 2 for layout in ("bare", "chat"))


@pytest.mark.parametrize("on_gpu", [False, True])
def test_every_epoch_reports(files, tmp_path, capsys, at_once, monkeypatch, on_gpu):
    """Also where dev is answered as on a GPU."""
    monkeypatch.setattr("embedgrad.tuning.gains", lambda *_: on_gpu)
    data, flags = files
    files = ["--train", str(data), "--dev", str(data), "--out", str(tmp_path / "p.safetensors")]
    loop = ["--epochs", "2", "--batch-size", "3", "--token-budget", "80", "--dev-accuracy", "--evaluator", "exact"]
    assert main(["optimize", *flags, "--prompt", "step by step.", *files, *loop]) == 0
    found = phases(capsys.readouterr().out)
    assert list(found) == [
        f"{part}, epoch {epoch} of at most 2"
        for epoch, parts in enumerate([["dev loss", "dev answers"], *[["train", "dev loss", "dev answers"]] * 2])
        for part in parts
    ]
    for epoch in (1, 2):
        lines = found[f"train, epoch {epoch} of at most 2"]
        time = r"\S+ (s|min|h)"
        assert all(
            re.fullmatch(rf"\d of 8 .* items/s, {time} left, at most {time} for all epochs", line) for line in lines
        )
        done = [int(line[0]) for line in lines]
        assert done == sorted(done)
        assert {3, 6} <= set(done)


def test_every_analysis_reports(files, prompt_file, tmp_path, capsys, at_once):
    data, flags = files
    for side, prompt in (("before", ["--prompt", "step by step."]), ("after", ["--prompt-file", str(prompt_file)])):
        assert main(["decode", *flags, *prompt, "--data", str(data), "--out", str(tmp_path / side)]) == 0
    sides = ["--before", str(tmp_path / "before"), "--after", str(tmp_path / "after")]
    more = ["--dev", str(data), "--test", str(data), "--stimuli", "config/lat_stimuli.jsonl", *sides]
    capsys.readouterr()
    words = [
        "--prompt-file",
        str(prompt_file),
        "--evaluator",
        "exact",
        "--out-folder",
        str(tmp_path),
        "--lat-pairs",
        "8",
    ]
    assert main(["analyse", *flags, *more, *words]) == 0
    found = phases(capsys.readouterr().out)
    kept = json.loads((tmp_path / "entropy.json").read_text())["summary"]["n"]
    last = {name: lines[-1] for name, lines in found.items()}
    assert last["round trip, before"].startswith("8 of 8 items (100 %), ")
    assert last["round trip, random, seed 2"].startswith("8 of 8 items (100 %), ")
    assert last["LAT, hidden states"].startswith("136 of 136 texts (100 %), ")
    assert last["LAT, directions"].startswith("6 of 6 layers (100 %), ")
    assert last["entropy, answers read"].startswith(f"{4 * kept} of {4 * kept} answers (100 %), ")
