"""Other people's maths evaluators on the same boxes, as a second opinion.

    >>> cross_check([("so \\\\boxed{0.5}", "\\\\frac{1}{2}")], ["math_verify"])
    [{'boxed_math': 'correct', 'math_verify': 'correct'}]

math-verify (https://github.com/huggingface/Math-Verify) and lm-eval's minerva and hendrycks evaluators
(https://github.com/EleutherAI/lm-evaluation-harness) see the last box as ``boxed_math.extract`` reads it, so that only the
comparison differs. They hand model text to sympy, which can run for ever: each call has a deadline, in a child process that ends
and is replaced when it is late, and that gets no more than :data:`MEMORY`. The deadline counts seconds of computing, by the
kernel: whether an answer is late must not depend on what else the machine does. One environment holds all three, because
math-verify is installed with antlr 4.11, the version that lm-eval's minerva needs.
"""

import multiprocessing
import resource
import signal
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from evaluators import boxed_math

DEADLINE = 5.0  # seconds of computing a call
WAITED = 60  # times the deadline by the clock on the wall, for a call that hangs without computing
MEMORY = 2**30  # bytes that grading may take beyond what the evaluators' own code does
START = 600.0  # seconds for a child to import the evaluators: half a minute on a machine that others use


def _math_verify(answer: str, gold: str) -> bool:
    from math_verify import parse, verify

    # The child has a deadline of its own; math-verify's uses signals.
    given, wanted = (parse(f"${text}$", parsing_timeout=None) for text in (answer, gold))
    return bool(verify(wanted, given, timeout_seconds=None))


def _minerva(answer: str, gold: str) -> bool:
    from lm_eval.tasks.minerva_math.utils import is_equiv, normalize_final_answer

    return bool(is_equiv(normalize_final_answer(answer), normalize_final_answer(gold)))


def _hendrycks(answer: str, gold: str) -> bool:
    from lm_eval.tasks.hendrycks_math.utils import is_equiv

    return bool(is_equiv(answer, gold))


OTHERS: dict[str, Callable[[str, str], bool]] = {
    "math_verify": _math_verify,
    "minerva": _minerva,
    "hendrycks": _hendrycks,
}


class Child:
    """A child process that grades one pair at a time; use it as a context."""

    def __init__(self, names: Sequence[str], deadline: float = DEADLINE) -> None:
        self.names, self.deadline = tuple(names), deadline
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def grade(self, name: str, answer: str, gold: str) -> str:
        """``correct``, ``wrong``, or ``undecided`` when the evaluator failed or was late."""
        pipe = self._pipe
        if self._process is None or not self._process.is_alive() or pipe is None:
            pipe = self._start()
        try:
            pipe.send((name, answer, gold))
            if pipe.poll(WAITED * self.deadline):
                return str(pipe.recv())
        except (EOFError, OSError):  # the child died of it
            pass
        self._stop()
        return "undecided"

    def _start(self) -> Connection:
        # spawn: a fork would copy the parent's threads' locks.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._pipe = ours
        self._process = context.Process(target=_serve, args=(theirs, self.names, self.deadline), daemon=True)
        self._process.start()
        theirs.close()
        if not ours.poll(START) or ours.recv() != "ready":
            self._stop()
            raise RuntimeError(f"the grading process did not start within {START} s")
        return ours

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


def _limit_memory() -> None:
    """From here on a computation that takes more than :data:`MEMORY` fails by itself; Linux alone says what is taken now."""
    taken = Path("/proc/self/statm")
    if not taken.exists():
        return
    limit = int(taken.read_text().split()[0]) * resource.getpagesize() + MEMORY
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _serve(pipe: Connection, names: Sequence[str], deadline: float = DEADLINE) -> None:
    for name in names:
        OTHERS[name]("1", "1")  # imports take longer than a deadline allows
    _limit_memory()
    pipe.send("ready")
    while True:
        try:
            name, answer, gold = pipe.recv()
        except EOFError:
            return  # the parent is gone
        # A call that is late ends the process, wherever it is: nothing here listens to this signal.
        signal.setitimer(signal.ITIMER_PROF, deadline)
        try:
            verdict = "correct" if OTHERS[name](answer, gold) else "wrong"
        except Exception:  # noqa: BLE001 - foreign code on foreign text; what fails counts as undecided
            verdict = "undecided"
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(verdict)


def cross_check(
    rows: Iterable[tuple[str, str]], names: Sequence[str], deadline: float = DEADLINE
) -> list[dict[str, str]]:
    """The verdicts of the evaluators ``names`` and of ``boxed_math`` on (text, gold) pairs.

    Raises:
        ValueError: an evaluator that is not known.
    """
    unknown = [name for name in names if name not in OTHERS]
    if unknown:
        raise ValueError(f"evaluator {unknown[0]!r} is unknown; choose from {', '.join(OTHERS)}")
    checked = []
    with Child(names, deadline) as child:
        for text, gold in rows:
            answer = boxed_math.extract(text)
            verdicts = {"boxed_math": boxed_math.grade(text, gold).status}
            for name in names:
                verdicts[name] = "no_answer" if answer is None else child.grade(name, answer, gold)
            checked.append(verdicts)
    return checked
