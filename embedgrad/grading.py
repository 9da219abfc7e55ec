"""From a decoded answer to a graded line: evaluator, strictness, failure taxonomy."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import evaluators
from embedgrad import tasks
from embedgrad.files import LOOP_STOPS
from embedgrad.tasks.own.labels import Labels
from embedgrad_core.files import Item, UserError
from evaluators import label
from evaluators.boxed_math import FIRST


@dataclass(frozen=True)
class Grading:
    """An evaluator with its options: how the answers of one task are checked.

    Attributes:
        evaluator: name of the evaluator.
        options: what it needs besides text and gold (labels, synonyms).
        strict: whether the strict reading of labels and Yes/No is the headline.
        numbers: of the label task's data, which number stands for which label; how answers are checked does not depend on it.

    Raises:
        UserError: more labels than can be looked for in an answer in bounded time.
    """

    evaluator: str
    options: dict = field(default_factory=dict)
    strict: bool = False
    numbers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.evaluator == "label" and (
            reason := label.too_many(self.options.get("labels", ()), self.options.get("synonyms"))
        ):
            raise UserError(f"evaluator label: {reason}; give fewer or shorter ones.")

    @property
    def knows_strict(self) -> bool:
        """Whether the evaluator has a strict reading."""
        return self.evaluator in ("label", "yes_no")

    @property
    def knows_boxes(self) -> bool:
        """Whether the evaluator reads one of several boxes: option ``box``, the last or the first."""
        return self.evaluator == "boxed_math"

    def row(self) -> dict:
        """As JSON; ``Grading(**row)`` restores it."""
        row = {"evaluator": self.evaluator, "options": self.options, "strict": self.strict}
        return row | ({"numbers": self.numbers} if self.numbers else {})

    @property
    def labels(self) -> Labels | tuple[str, ...]:
        """The classes of evaluator label, as :func:`embedgrad.tasks.own.data.read_own` takes them."""
        names = tuple(self.options.get("labels", ()))
        return Labels(names, self.numbers) if names else ()

    def grade(self, text: str, gold: str) -> evaluators.Verdict:
        """The headline verdict on one answer."""
        return self._grade(text, gold, self.strict)

    def accuracy(self, outputs: dict[str, str], answers: dict[str, str]) -> float:
        """Share of correct answers; both arguments map item ids."""
        correct = sum(self.grade(outputs[key], gold).status == "correct" for key, gold in answers.items())
        return correct / len(answers)

    def line(self, decoded: dict, gold: str) -> dict:
        """A graded line: the decoded one with what was extracted, whether it is right, and how it failed."""
        verdict = self.grade(decoded["output"], gold)
        graded = {
            **decoded,
            "extracted": verdict.extracted,
            "correct": verdict.status == "correct",
            "failure": failure(verdict.status, decoded["stop"]),
            "reason": verdict.reason,
        }
        if self.knows_strict:
            graded["strict_correct"] = self._grade(decoded["output"], gold, True).status == "correct"
        return graded

    def _grade(self, text: str, gold: str, strict: bool) -> evaluators.Verdict:
        options = {**self.options, "strict": strict} if self.knows_strict else self.options
        return evaluators.grade(self.evaluator, text, gold, **options)


def failure(status: str, stop: str) -> str:
    """How an answer failed: none, undecided, loop, truncated, no_answer or wrong, the first that fits.

    A loop or a cut explains a wrong or missing answer better than the answer itself does: the stop reason goes first.
    """
    if status == "correct":
        return "none"
    if status == "undecided":
        return "undecided"
    by_stop = dict.fromkeys(LOOP_STOPS, "loop") | {"length": "truncated"}
    return by_stop.get(stop) or status


def make_grading(
    evaluator: str | None,
    labels: Mapping[int | str, str] | Sequence[str] | None,
    strict: bool = False,
    box: str | None = None,
) -> Grading:
    """An evaluator with its options; ``label`` where only labels are given, as names or by the data's numbers.

    Raises:
        UserError: neither is given, an unknown evaluator, labels that ``Labels.of`` refuses, or labels or a box that the
            evaluator does not look at.
    """
    evaluator = evaluator or ("label" if labels is not None else None)
    if evaluator not in evaluators.EVALUATORS:
        raise UserError(f"evaluator is {evaluator!r}; give label (with labels), yes_no, boxed_math or exact.")
    if evaluator == "label":
        known = Labels.of(labels or ())
        return _with_box(Grading(evaluator, {"labels": list(known.names)}, strict, dict(known.numbers)), box)
    if labels:
        raise UserError(f"labels are for evaluator label alone, not for {evaluator}; leave out one of the two.")
    return _with_box(Grading(evaluator, {}, strict), box)


def _with_box(grading: Grading, box: str | None) -> Grading:
    """Which box of an answer counts; the last one is not named, so that files say the same as before there was a choice.

    Raises:
        UserError: the evaluator reads no boxes.
    """
    if box and not grading.knows_boxes:
        raise UserError(f"box {box} is for evaluator boxed_math alone, not for {grading.evaluator}; leave it out.")
    return replace(grading, options={**grading.options, "box": box}) if box == FIRST else grading


def check_answers(items: Sequence[Item], grading: Grading) -> None:
    """Check that the gold answers of items are ones that the evaluator can find: a label, or Yes or No.

    Raises:
        UserError: one is not, so that every answer to it would be wrong; names the file and the line.
    """
    known: list[str] | None = {"label": grading.options.get("labels"), "yes_no": ["Yes", "No"]}.get(grading.evaluator)
    for item in items:
        if known and item.answer not in known:
            raise UserError(
                f"{item.name}: answer {item.answer[:60]!r} is not among {', '.join(known)}; change the line or the labels."
            )


def labels_of(text: str | None) -> list[str]:
    """The labels of a comma-separated list; ``0=negative`` says which number of the data a label is."""
    return [label.strip() for label in (text or "").split(",") if label.strip()]


def grading_of_task(name: str, strict: bool = False, box: str | None = None) -> Grading:
    """The evaluator and options of one of the suite's tasks.

    Raises:
        UserError: no such task, or a box of one whose answers have none.
    """
    task = tasks.find(name)
    options = (
        {"labels": list(task.LABELS), "synonyms": getattr(task, "SYNONYMS", {})} if task.EVALUATOR == "label" else {}
    )
    return _with_box(Grading(task.EVALUATOR, options, strict), box)


def grading_from(arguments: argparse.Namespace) -> Grading:
    """The evaluator that --task or --evaluator names, with its options.

    Raises:
        UserError: neither is given, labels are missing or equal, or a box is named of answers that have none.
    """
    if arguments.task:
        if arguments.evaluator or arguments.labels:
            raise UserError(
                "--task brings its own evaluator and labels; leave out --evaluator and --labels, or --task."
            )
        return grading_of_task(arguments.task, arguments.strict, arguments.box)
    if not arguments.evaluator:
        raise UserError("give --task NAME, or --evaluator with --labels for data of your own.")
    return make_grading(arguments.evaluator, labels_of(arguments.labels), arguments.strict, arguments.box)
