"""Other graders in a child process: they import side by side, and a late one is killed and replaced."""

import json
import os
import signal
import subprocess
import sys

import hostile_texts as hostile
import pytest
from places import ROOT

from embedgrad_core.files import write_jsonl
from evaluators import cross_check as module
from evaluators.cross_check import Child, cross_check

BOXED = [
    (r"so \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    (r"so \boxed{2}", "3"),
    ("no box", "3"),
    (r"\boxed{2516_9}", "2516_8"),  # math-verify drops the base
]


def test_all_graders_import_and_grade_in_one_environment():
    names = list(module.OTHERS)
    first, second, third, _ = cross_check(BOXED, names)
    assert set(first.values()) == {"correct"}
    assert set(second.values()) == {"wrong"}
    assert third == dict.fromkeys(["boxed_math", *names], "no_answer")


def test_math_verify_knows_no_bases():
    verdicts = zip(BOXED, cross_check(BOXED, ["math_verify"]), strict=True)
    assert [text for (text, _), found in verdicts if len(set(found.values())) > 1] == [BOXED[3][0]]


def test_an_unknown_grader_is_named():
    with pytest.raises(ValueError, match="'mine' is unknown"):
        cross_check([], ["mine"])


# A grader that waits, as one does whose machine is busy elsewhere, and one that computes for ever.
SLOW = """
import threading, time
from multiprocessing import Pipe
from evaluators import cross_check
def grade(answer, gold):
    if answer == "waits":
        time.sleep(1.5)
    while answer == "endless":
        pass
    return True
cross_check.OTHERS = {"slow": grade}
ours, theirs = Pipe()
threading.Thread(target=cross_check._serve, args=(theirs, ("slow",), 0.5), daemon=True).start()
assert ours.recv() == "ready"
for answer in ("waits", "endless"):
    ours.send(("slow", answer, ""))
    print(ours.recv(), flush=True)
"""


def test_a_grader_is_late_by_its_own_computing_and_not_by_the_clock():
    run = subprocess.run([sys.executable, "-c", SLOW], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert (run.stdout, run.returncode) == ("correct\n", -signal.SIGPROF), run.stderr


def test_a_late_grader_is_killed_and_replaced():
    with Child(["math_verify"], deadline=0.5) as child:
        assert child.grade("math_verify", "1", "1") in ("correct", "undecided")
        # A tower of powers may keep sympy busy for ever.
        assert child.grade("math_verify", "9^{9^{9^{9^9}}}", "2^{2^{2^{2^{99}}}}") in ("wrong", "undecided")
        assert child.grade("math_verify", "2", "2") in ("correct", "undecided")
        late = child._process
        os.kill(late.pid, signal.SIGPROF)  # as the kernel does
        late.join()
        assert child.grade("math_verify", "2", "2") in ("correct", "undecided")
        assert child._process is not late


HOG = """
import threading
from multiprocessing import Pipe
from evaluators import cross_check
cross_check.OTHERS = {"hog": lambda answer, gold: bool(bytearray(int(answer)))}
ours, theirs = Pipe()
threading.Thread(target=cross_check._serve, args=(theirs, ("hog",)), daemon=True).start()
assert ours.recv() == "ready"
for size in (10**6, 3 * 2**30, 10**6):
    ours.send(("hog", str(size), ""))
    print(ours.recv())
"""


def test_a_grader_that_wants_too_much_memory_fails_by_itself():
    run = subprocess.run([sys.executable, "-c", HOG], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.split() == ["correct", "undecided", "correct"], run.stderr


def test_hostile_answers_end_in_a_verdict_and_run_nothing(tmp_path, monkeypatch):
    """The table's attacks and the numbers that are computed for ever, through math-verify."""
    monkeypatch.chdir(tmp_path)
    endless = ("tower", "factorial", "binomial", "root index")
    texts = [*hostile.INJECTION.values(), *(hostile.NUMBERS[name] for name in endless)]
    with Child(["math_verify"], deadline=1.0) as child:
        for text in texts:
            assert child.grade("math_verify", text, "42") in ("wrong", "undecided")
        assert child.grade("math_verify", "2", "2") in ("correct", "undecided")
    assert not list(tmp_path.iterdir())


def test_the_command_lists_disagreements(tmp_path):
    items = [{"id": str(n), "input": "x", "target": g, "answer": g, "level": None} for n, (_, g) in enumerate(BOXED)]
    outputs = [
        {"id": str(n), "output": t, "n_tokens": 1, "stop": "eos", "entropy_bits": 0.0} for n, (t, _) in enumerate(BOXED)
    ]
    write_jsonl(tmp_path / "test.jsonl", items)
    write_jsonl(tmp_path / "outputs.jsonl", outputs)
    files = [
        "--data",
        "test.jsonl",
        "--outputs",
        "outputs.jsonl",
        "--out",
        "graded.jsonl",
        "--disagreements",
        "d.jsonl",
    ]
    files = [str(tmp_path / word) if word.endswith(".jsonl") else word for word in files]
    command = [sys.executable, "-m", "embedgrad", "grade", "--evaluator", "boxed_math", "--with", "math_verify", *files]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "math_verify disagrees on 1 of 4" in run.stdout
    assert [json.loads(line)["id"] for line in (tmp_path / "d.jsonl").read_text().splitlines()] == ["3"]
    command[command.index("math_verify")] = "mine"
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).returncode == 2
