"""Hostile texts and drawn ones through every checker, in processes that are watched and limited."""

import json
import subprocess
import sys

import pytest
from budget import times
from places import ROOT

INPUTS = times(10_000)
# Grades the whole table in a process of its own, under an audit hook and a limit of memory, and prints what it found.
RUN = r"""
import json, sys, time
sys.path[:0] = [{root!r}, {root!r} + "/tests/faults"]
sys.argv = ["fuzz"]
import fuzz, hostile_texts as hostile
fuzz.prepare()
audit, rows = fuzz._STATE["audit"], []
texts = hostile.IN_A_BOX | hostile.HUGE
for key, text in texts.items():
    for name, whole, gold in (
        ("boxed_math", "so \\boxed{{" + text + "}}.", "42"), ("boxed_math", "so \\boxed{{" + text + "}}.", text + "+1"),
        ("boxed_math", text, text), ("label", text, "sad"), ("label", "I am sad: " + text, "sad"), ("yes_no", text, "Yes"),
        ("yes_no", "Yes. " + text, "Yes"), ("exact", text, "42"),
    ):
        started, verdict = time.process_time(), None
        audit.armed = True
        try:
            verdict = fuzz.grade(name, whole, gold)
        except BaseException as error:
            fault = repr(error)[:200]
        finally:
            audit.armed = False
        seconds = time.process_time() - started
        if verdict:
            fault = verdict.reason if verdict.status == "undecided" and not verdict.out_of_bounds else ""
        rows.append([key, name, verdict and verdict.status, fault, seconds])
print(json.dumps({{"rows": rows, "executed": audit.seen, "mib": fuzz.peak() / 2**20}}))
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """What a process of its own, in an empty folder, says of every hostile text."""
    place = tmp_path_factory.mktemp("canary")
    ran = subprocess.run(
        [sys.executable, "-c", RUN.format(root=str(ROOT))], cwd=place, capture_output=True, text=True, timeout=600
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout) | {"left": [entry.name for entry in place.iterdir()]}


def test_nothing_is_executed(table):
    assert table["executed"] == []
    assert table["left"] == []


def test_nothing_raises(table):
    assert [
        row for row in table["rows"] if row[3] or row[2] not in ("correct", "wrong", "no_answer", "undecided")
    ] == []
    assert len(table["rows"]) > 700


def test_nothing_takes_long_or_much_memory(table):
    assert [row for row in table["rows"] if row[4] > 2] == []
    assert table["mib"] < 512


def test_the_audit_hook_would_have_seen_it(tmp_path):
    watch = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'tests/faults')!r}]; import fuzz\n"
        "audit = fuzz.Audit(); audit.armed = True\n"
        "import os, colorsys\n"
        "os.system('true'); eval('1'); open('here', 'w').close(); open('here').close()\n"
        "audit.armed = False; print('\\n'.join(audit.seen))"
    )
    ran = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    events = [line.split()[0] for line in ran.stdout.splitlines()]
    assert [event for event in events if event != "exec"][:3] == ["import", "os.system", "compile"]
    assert events.count("open") == 1


def test_fuzzing_finds_nothing(tmp_path):
    """The CI-size run of tests/faults/fuzz.py; docs/reliability.md has the million."""
    command = [sys.executable, str(ROOT / "tests/faults/fuzz.py"), "--inputs", str(INPUTS), "--seed", "1"]
    command += ["--cores", "2", "--json", str(tmp_path / "report.json")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600 + INPUTS // 10, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout[-3_000:] + ran.stderr[-3_000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["crashes"], report["executed"], report["faults"]) == (0, 0, [])
    assert report["out_of_bounds"] > INPUTS / 100
    assert sum(report["statuses"].values()) == INPUTS


def test_a_seed_gives_the_same_inputs_on_any_number_of_cores(tmp_path):
    def statuses(cores):
        out = tmp_path / f"{cores}.json"
        sizes = ["--inputs", "3000", "--seed", "2", "--cores", str(cores), "--json", str(out)]
        subprocess.run([sys.executable, str(ROOT / "tests/faults/fuzz.py"), *sizes], check=True, capture_output=True)
        return json.loads(out.read_text())["statuses"]

    assert statuses(1) == statuses(2)
