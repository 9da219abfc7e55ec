r"""Many hostile answers through every evaluator: nothing is run, nothing raises, nothing takes long.

    python tests/faults/fuzz.py --inputs 1000000 --seed 0 [--json FILE]

Inputs are drawn from a grammar of LaTeX, from pieces, and by mutation of known attacks and of whatever reached new lines of
the evaluators; a seed gives the same ones on any number of cores. An audit hook counts whatever the evaluators would start,
import, compile, run or write. Exits with 1 if anything was executed, raised, took more than 2 s or more than 512 MiB.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/support")]

import hostile_texts as hostile  # noqa: E402

import evaluators  # noqa: E402

SHARD = 2_500
SECONDS, MEMORY = 2.0, 512 * 2**20
STATUSES = {"correct", "wrong", "no_answer", "undecided"}
WATCHED = ("exec", "compile", "import", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "subprocess.Popen",
           "pty.spawn", "socket.connect", "pickle.find_class", "os.remove", "os.rename", "os.mkdir", "ctypes.dlopen")  # fmt: skip
KEPT = 400  # inputs that reached new lines, a shard


class Late(BaseException):
    """A comparison took too long; no evaluator catches it."""


class Audit:
    """Counts what code could do beyond reading and comparing, while it is armed."""

    def __init__(self) -> None:
        self.armed, self.seen = False, []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, details: tuple) -> None:
        if self.armed and (event in WATCHED or (event == "open" and _writes(details))):
            self.seen.append(f"{event} {details[:1]!r}"[:200])


def _writes(details: tuple) -> bool:
    mode, flags = details[1], details[2]
    return any(letter in (mode or "") for letter in "wax+") or bool(
        (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    )


class NewLines:
    """Whether a call reached lines of the evaluators that no call before it had reached.

    By ``sys.monitoring``, which asks once a line; before Python 3.12 by tracing one call in forty.
    """

    def __init__(self) -> None:
        self.home = str(Path(evaluators.__file__).parent)
        self.lines, self.calls = set(), 0
        self.monitoring = getattr(sys, "monitoring", None)
        if self.monitoring:
            self.monitoring.use_tool_id(self.monitoring.COVERAGE_ID, "fuzz")
            self.monitoring.register_callback(self.monitoring.COVERAGE_ID, self.monitoring.events.LINE, self._line)
            self.monitoring.set_events(self.monitoring.COVERAGE_ID, self.monitoring.events.LINE)

    def during(self, work: Callable[[], object]) -> tuple[object, float, bool]:
        """What ``work`` returns, its seconds of computing, and whether it reached new lines.

        Raises:
            Late: it takes three times what it may.
        """
        before, self.calls = len(self.lines), self.calls + 1
        started = time.process_time()  # what other programs take on a busy machine is not the evaluator's
        try:
            signal.setitimer(signal.ITIMER_PROF, 3 * SECONDS)
            result = work()
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = time.process_time() - started
        # Tracing makes a call ten times as slow: once more, behind both clocks, and never by a clock: which inputs are kept to
        # be mutated must be the same on a busy machine.
        if not self.monitoring and self.calls % 40 == 0 and not result.out_of_bounds:
            sys.settrace(self._trace)
            try:
                work()
            finally:
                sys.settrace(None)
        return result, seconds, len(self.lines) > before

    def _line(self, code: object, line: int) -> object:
        if code.co_filename.startswith(self.home):
            self.lines.add((code, line))
        return self.monitoring.DISABLE

    def _trace(self, frame: object, event: str, _: object) -> object:
        if not frame.f_code.co_filename.startswith(self.home):
            return None
        self.lines.add((frame.f_code, frame.f_lineno))
        return self._trace


def drawn(chance: random.Random, pool: list[tuple[str, str]]) -> tuple[str, str, str]:
    """Evaluator, text and gold of one input."""
    source = chance.random()
    if source < 0.35:
        text = hostile.formula(chance, chance.randint(1, 7))
    elif source < 0.55:
        text = hostile.pieces(chance)
    else:
        text, other = (chance.choice(pool)[0] for _ in range(2))
        text = hostile.mutated(chance, text, other)
    name = chance.choices(("boxed_math", "label", "yes_no", "exact"), (60, 20, 15, 5))[0]
    if name == "label":
        return name, text, chance.choice(hostile.LABELS)
    if name == "yes_no":
        return name, text, chance.choice(("Yes", "No"))
    kind = chance.random()
    gold = chance.choice(hostile.GOLDS) if kind < 0.4 else hostile.formula(chance, 4)
    if kind > 0.7:  # nearly the same, so that the comparison goes deep
        gold = hostile.mutated(chance, text[:2_000], gold)
    return name, text if name == "exact" or chance.random() < 0.05 else f"so \\boxed{{{text}}}.", gold


def grade(name: str, text: str, gold: str) -> evaluators.Verdict:
    """One verdict, as the suite asks for it: of labels and Yes/No the strict reading as well, which must not fail either."""
    options = {"labels": hostile.LABELS} if name == "label" else {}
    verdict = evaluators.grade(name, text, gold, **options)
    if name not in ("label", "yes_no"):
        return verdict
    strict = evaluators.grade(name, text, gold, strict=True, **options)
    fails = strict.status not in STATUSES or (strict.status == "undecided" and not strict.out_of_bounds)
    return strict if fails else verdict


_STATE: dict[str, object] = {}


def prepare() -> None:
    """A worker's limits and hooks, once everything that is loaded on demand has been loaded."""
    for gold in (
        *hostile.GOLDS,
        "\\sin(1)+\\exp(1)+\\ln(2)+\\tan^{-1}(2)+\\arcsin(3)+\\sec(1)+\\sinh(2)+\\log(3)+\\lfloor \\pi \\rfloor",
    ):
        grade("boxed_math", f"\\boxed{{{gold}}}", f"{gold}+\\pi")
        grade("label", gold, "sad")
        grade("yes_no", gold, "Yes")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, _late)
    _STATE.update(audit=Audit(), lines=NewLines())


def peak() -> int:
    """The most bytes this process has held (Linux; getrusage would count its parent's before the start)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _late(*_: object) -> None:
    raise Late


def shard(task: tuple[int, int, int]) -> dict:
    """One shard's inputs and what became of them."""
    seed, number, count = task
    chance, audit, lines = random.Random(f"{seed}/{number}"), _STATE["audit"], _STATE["lines"]
    # Lines are new to a shard, not to a process: which process takes a shard must not change its inputs.
    lines.lines.clear()
    if lines.monitoring:
        lines.monitoring.restart_events()
    lines.calls = 0
    pool = [(text, "") for text in hostile.IN_A_BOX.values()] + [(text, "") for text in hostile.GOLDS] * 4
    limit = len(pool) + KEPT
    report = {"statuses": Counter(), "out_of_bounds": 0, "slowest": (0.0, None), "faults": []}
    for _ in range(count):
        name, text, gold = drawn(chance, pool)
        fault, verdict, new, executed, seconds = None, None, False, len(audit.seen), 3 * SECONDS
        try:
            audit.armed = True
            verdict, seconds, new = lines.during(lambda: grade(name, text, gold))  # noqa: B023 (called at once)
        except (Exception, Late) as error:  # noqa: BLE001 - whatever an evaluator raises is a finding
            fault = f"raised {type(error).__name__}: {error}"[:200]
        finally:
            audit.armed = False
        if verdict is not None:
            report["statuses"][verdict.status] += 1
            report["out_of_bounds"] += verdict.out_of_bounds
            if verdict.status not in STATUSES or (verdict.status == "undecided" and not verdict.out_of_bounds):
                fault = f"{verdict.status}: {verdict.reason}"
        if len(audit.seen) > executed:
            fault = f"executed {audit.seen[executed]}"
        if seconds > SECONDS:
            fault = fault or f"took {seconds:.1f} s"
        if fault:
            report["faults"].append({"fault": fault, "evaluator": name, "text": text[:3_000], "gold": gold[:3_000]})
        if seconds > report["slowest"][0]:
            report["slowest"] = (seconds, (name, text[:200], gold[:200]))
        if new and len(pool) < limit:
            pool.append((text, gold))
    report["executed"], audit.seen = len(audit.seen), []
    return report | {"lines": len(lines.lines), "memory": peak()}


def fuzz(inputs: int, seed: int, cores: int) -> dict:
    """The report over all shards."""
    started = time.perf_counter()
    tasks = [(seed, number, min(SHARD, inputs - place)) for number, place in enumerate(range(0, inputs, SHARD))]
    context = multiprocessing.get_context("spawn")
    with context.Pool(cores, prepare) as workers:
        reports = workers.map(shard, tasks, chunksize=1)
    faults = [fault for report in reports for fault in report["faults"]]
    slowest = max((report["slowest"] for report in reports), key=lambda entry: entry[0])
    return {
        "inputs": inputs,
        "seed": seed,
        "crashes": sum(not fault["fault"].startswith(("executed", "took")) for fault in faults),
        "out_of_bounds": sum(report["out_of_bounds"] for report in reports),
        "executed": sum(report["executed"] for report in reports) + Path(hostile.CANARY).exists(),
        "slowest_s": round(slowest[0], 3),
        "slowest_input": slowest[1],
        "largest_memory_mib": round(max(report["memory"] for report in reports) / 2**20),
        "lines": max(report["lines"] for report in reports),
        "seconds": round(time.perf_counter() - started),
        "statuses": dict(sum((report["statuses"] for report in reports), Counter())),
        "faults": faults[:20],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    report = fuzz(arguments.inputs, arguments.seed, arguments.cores)
    for key in ("inputs", "crashes", "out_of_bounds", "executed", "slowest_s", "largest_memory_mib", "seconds"):
        print(f"{key.replace('_', ' '):20} {report[key]:,}")
    print("statuses", json.dumps(report["statuses"]))
    for fault in report["faults"]:
        print("fault", json.dumps(fault)[:400])
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(report["faults"] or report["executed"] or report["largest_memory_mib"] * 2**20 > MEMORY))


if __name__ == "__main__":
    main()
