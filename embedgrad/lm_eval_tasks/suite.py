"""What the YAML files call: the workflow's split as a data set, the prompt's own token limit, and its own evaluator."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from embedgrad.files import read_items
from embedgrad.grading import Grading, grading_of_task
from embedgrad.stored import stored_grading
from embedgrad_core import read_prompt_file
from embedgrad_core.prompt_header import recorded_decoding

LOG = logging.getLogger("lm-eval")


class SuiteTask(ConfigurableTask):
    """One of the suite's tasks, answered and graded as the prompt file says; where it says nothing, as the YAML file does.

    The prompt file is the one of ``--model_args``. Where no model takes one, it is a prompt file of the task among
    ``--metadata '{"results": …}'``: all cells of a task have one limit and one evaluator. ``--gen_kwargs`` goes before both.

    Raises:
        UserError: no such prompt file or split, or one that this suite does not write.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        metadata = config["metadata"]
        limit, self.grading = _as_stored(
            metadata["task"], metadata.get("prompt"), metadata.get("results", "results/paper")
        )
        config = {key: value for key, value in config.items() if key != "class"}
        if limit:
            config["generation_kwargs"] = {**config["generation_kwargs"], "max_gen_toks": limit}
        super().__init__(config=config)

    def process_results(self, doc: dict, results: list[str]) -> dict[str, float]:
        """Our verdict on one answer."""
        return {"acc": float(self.grading.grade(results[0], doc["answer"]).status == "correct")}


def load(task: str, results: str = "results/paper", level: str | None = None, split: str = "test", **_: object) -> dict:
    """``<results>/data/<task>/<split>.jsonl`` as lm-eval's test split; ``--metadata '{"results": "results/demo"}'`` says where.

    Raises:
        UserError: no such file, or a malformed line.
    """
    items = read_items(Path(results) / "data" / task / f"{split}.jsonl", level)
    rows = [{"task": task, **item.row()} for item in items]
    return {"test": datasets.Dataset.from_list(rows)}


def _as_stored(name: str, prompt: str | None, results: str) -> tuple[int | None, Grading]:
    """Token limit and evaluator of a prompt file made for this task; no limit and the task's own evaluator without one."""
    own = grading_of_task(name)
    # A level of a task is a data set of its own: math500-L1.
    for path in [prompt] if prompt else sorted(Path(results).glob(f"{name}*/*/seed*/prompt.safetensors")):
        header = read_prompt_file(path)[1]
        grading = stored_grading(path, header)
        if grading and _same_answers(grading, own) and (prompt or (header.get("data") or {}).get("task") == name):
            limit = recorded_decoding(path, header).max_new_tokens if header.get("decoding") else None
            return limit, grading
        if prompt and grading:
            LOG.warning(
                f"{prompt}: made for other answers than {name}'s, so this task's own limit and evaluator are used."
            )
    return None, own


def _same_answers(one: Grading, other: Grading) -> bool:
    return one.evaluator == other.evaluator and set(one.options.get("labels", ())) == set(
        other.options.get("labels", ())
    )
