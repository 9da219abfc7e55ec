"""Evaluators: text in, verdict out. They know no model and never execute what they read."""

from evaluators import boxed_math, exact, label, yes_no
from evaluators.verdict import Verdict

# Everything that may be asked for by name: command-line choices, prompt files and tasks look here.
EVALUATORS = {"boxed_math": boxed_math, "label": label, "yes_no": yes_no, "exact": exact}


def grade(name: str, text: str, gold: str, **options: object) -> Verdict:
    """The verdict of the evaluator ``name`` on one answer; ``options`` are that evaluator's own."""
    return EVALUATORS[name].grade(text, gold, **options)


__all__ = ["EVALUATORS", "Verdict", "boxed_math", "exact", "grade", "label", "yes_no"]
