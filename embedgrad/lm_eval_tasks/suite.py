"""What the YAML files call: the workflow's split as a data set, and our grader on an answer."""

from functools import lru_cache
from pathlib import Path

import datasets

import tasks
from contracts import read_items
from embedgrad.grading import Grader


def load(task: str, results: str = "results/paper", level: str | None = None, split: str = "test", **_: object) -> dict:
    """``<results>/data/<task>/<split>.jsonl`` as lm-eval's test split; ``--metadata '{"results": "results/demo"}'`` says where.

    Raises:
        UserError: no such file, or a malformed line.
    """
    items = read_items(Path(results) / "data" / task / f"{split}.jsonl", level)
    rows = [{"task": task, **item.row()} for item in items]
    return {"test": datasets.Dataset.from_list(rows)}


def process(doc: dict, results: list[str]) -> dict[str, float]:
    """Our verdict on one answer."""
    return {"acc": float(_grader(doc["task"]).grade(results[0], doc["answer"]).status == "correct")}


@lru_cache
def _grader(name: str) -> Grader:
    task = tasks.find(name)
    options = {"labels": list(task.LABELS), "synonyms": task.SYNONYMS} if task.EVALUATOR == "label" else {}
    return Grader(task.EVALUATOR, options)
