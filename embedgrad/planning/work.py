"""How much a task asks of a model: items, tokens and the protocols searched, before a tokenizer or a data set is at hand.

Recorded means of the real data with the tokenizers of three families (``tests/system/real/test_planning.py`` counts them
again); tasks that the suite generates are counted where they are made. Answers are a guess, since they depend on the model: see
``ANSWER``.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from embedgrad import tasks
from embedgrad.tasks.targets import OWN_CHAIN, SENTENCE
from embedgrad_core.files import Item, UserError, read_json

# Items on the hub.
COUNTED = {"math500": 500, "imdb": 25_000, "medd": 4_159, "causal_judgment": 190}
# Tokens per input and per target (MATH-500: solution, answer), by the size of the tokenizer's vocabulary. MEDD is Chinese, which
# SmolLM2's tokenizer cuts into bytes.
RECORDED: dict[int, dict[str, tuple[int, int | dict[str, int]]]] = {
    151_936: {  # Qwen2.5
        "math500": (71, {"solution": 219, "answer": 4}),
        "imdb": (294, 1),
        "medd": (14, 2),
        "causal_judgment": (203, 1),
    },
    128_256: {  # Llama-3.1
        "math500": (69, {"solution": 210, "answer": 3}),
        "imdb": (293, 1),
        "medd": (18, 2),
        "causal_judgment": (201, 1),
    },
    49_152: {  # SmolLM2
        "math500": (76, {"solution": 232, "answer": 4}),
        "imdb": (303, 1),
        "medd": (40, 2),
        "causal_judgment": (205, 1),
    },
}
# Tokens of an answer, unless the limit is lower: chains of thought that end by themselves, some of which run into the limit.
ANSWER = {"math500": 900}
ANSWER_ELSE = 200
# Share of MATH-500's items on each level.
LEVELS = {"1": 0.086, "2": 0.18, "3": 0.21, "4": 0.256, "5": 0.268}
# Evaluators of the tasks whose targets are one label.
LABELLED, MOST_LABELS = ("label", "yes_no"), 8
# The longest input or target is taken to be this many times the mean.
LONGEST = 4
TOKENS_A_WORD, CHARACTERS_A_TOKEN = 1.35, 4.5
STATING = 4  # tokens of the sentence that states a label
# Choices that cost decodings, searched where a configuration's `recovery.axes` names them (analyses/baselines/variants.py).
AXES = ("system_message", "repetition_penalty", "edition")
# Values that each has: the template's own message, an empty one, none; no penalty, the shipped one; two editions.
SYSTEMS, PENALTIES, EDITIONS = 3, 2, 2


@dataclass(frozen=True)
class Work:
    """One cell's items and mean tokens.

    Attributes:
        train: items to train on.
        dev: items to choose by.
        test: items to answer.
        prompt: k and what the layout puts around it.
        input: tokens of an input.
        target: tokens of a target.
        answer: tokens of an answer.
        limit: tokens of the longest answer.
        trained: tokens of an answer after optimisation. Where the targets are labels, the answers are, too (two or three tokens
            in `docs/laptop`, whatever was answered before).
        levels: shares of the items on each level; answers of two levels do not meet.
        labels: how many different answers there are at most; 0 where they are no closed set.
    """

    train: int
    dev: int
    test: int
    prompt: int
    input: int
    target: int
    answer: int
    limit: int
    trained: int
    levels: tuple[float, ...] = (1.0,)
    labels: int = 0

    @property
    def longest(self) -> int:
        """Tokens of the longest of many answers: one in a hundred runs into the limit; labels end by themselves (`docs/laptop`)."""
        return min(self.limit, 2 * self.answer) if self.labels and self.answer == self.trained else self.limit


def work_of(task: str, spec: Mapping[str, Any], split: Mapping[str, Any], level: str | None, vocabulary: int) -> Work:
    """What a cell's task, as its configuration describes it, asks of a model with a ``vocabulary`` of this size."""
    count, body, target = _counted(task, spec, vocabulary)
    if spec.get("pool"):
        count = min(count, spec["pool"])
    if spec.get("input_last_words"):
        body = min(body, round(spec["input_last_words"] * TOKENS_A_WORD))
    if task == "math500":
        count = round(count * LEVELS.get(level or "", 1.0))
        shares = list(LEVELS.values()) if level is None else [1.0]
    else:
        made: list[str | None] = [None] * count if task in COUNTED else [item.level for item in _generated(task, spec)]
        counts = Counter(made)
        if level is not None:
            counts = Counter({level: counts[level]})
        shares = [number / max(1, sum(counts.values())) for number in counts.values()]
        count = count if level is None else counts[level]
    half = count // 2
    dev = round(half * split.get("dev_fraction", 0.2))
    prompt = max(1, round(len(spec["prompt"]) / CHARACTERS_A_TOKEN))
    limit = spec["max_new_tokens"]
    answer = min(limit, ANSWER.get(task, ANSWER_ELSE))
    if spec.get("options", {}).get("target") == OWN_CHAIN:
        target = answer
    labels = MOST_LABELS if tasks.find(task).EVALUATOR in LABELLED else 0
    trained = min(answer, target + 1) if labels else answer
    sizes = half - dev, dev, count - half
    return Work(*sizes, prompt, body, target + 1, answer, limit, trained, tuple(shares), labels)


def _counted(task: str, spec: Mapping[str, Any], vocabulary: int) -> tuple[int, int, int]:
    """Items, tokens of an input, tokens of a target; of real data by the recorded vocabulary that is nearest in size."""
    options = spec.get("options", {})
    if task in COUNTED:
        count = COUNTED[task]
        body, target = RECORDED[min(RECORDED, key=lambda size: abs(size - vocabulary))][task]
        kind = options.get("target")
        if isinstance(target, int):
            return count, body, target + STATING * (kind == SENTENCE)
        if (kind or "solution") not in target:
            raise UserError(f"tasks.{task}.options.target is {kind!r}; choose {' or '.join(map(repr, target))}.")
        return count, body, target[kind or "solution"]
    items = _generated(task, spec)
    inputs = sum(len(item.input) for item in items) / len(items) / CHARACTERS_A_TOKEN
    targets = sum(len(item.target) for item in items) / len(items) / CHARACTERS_A_TOKEN
    return len(items), round(inputs), round(targets)


def _generated(task: str, spec: Mapping[str, Any]) -> list[Item]:
    return _drawn(task, json.dumps(spec.get("options", {}), sort_keys=True))


@cache  # a plan asks hundreds of times, once for each job and more
def _drawn(task: str, options: str) -> list[Item]:
    try:
        return tasks.find(task).load(None, **json.loads(options)).items
    except TypeError as error:  # an option of another task
        raise UserError(f"tasks.{task}.options: {error}; config/README.md has the options of each task.") from None


def added_decodings(values: Mapping[str, Any], task: str, ships_penalty: bool) -> int:
    """Decodings of the searched items that a run's axes add to those of the two layouts.

    Args:
        values: the configuration.
        task: the task.
        ships_penalty: whether the model's files ask for a repetition penalty, as far as that is known.
    """
    axes = searched_axes(values, task)
    layouts = 1 + (SYSTEMS if "system_message" in axes else 1)
    layouts *= PENALTIES if "repetition_penalty" in axes and ships_penalty else 1
    return layouts * (EDITIONS if "edition" in axes else 1) - 2


def searched_axes(values: Mapping[str, Any], task: str) -> list[str]:
    """The axes that a task's search has, in one order; an edition only where its data set has two."""
    wanted = (values.get("recovery") or {}).get("axes", ())
    has_editions = hasattr(tasks.find(task), "EDITIONS")
    return [axis for axis in AXES if axis in wanted and (axis != "edition" or has_editions)]


def ships_penalty(folder: str | Path | None) -> bool:
    """Whether a model's folder asks for a repetition penalty; of one that is not at hand it is assumed, as Qwen2.5's do."""
    if folder is None or not Path(folder).is_dir():
        return folder is None
    try:
        found = read_json(Path(folder) / "generation_config.json")
    except UserError:  # not there: it ships none
        return False
    return isinstance(found, dict) and found.get("repetition_penalty") not in (None, 1, 1.0)
