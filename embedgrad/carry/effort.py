"""How much the jobs of the key ``carry`` train and answer, for the forecast of their time; and which jobs there are."""

from collections.abc import Iterator, Mapping
from math import ceil

from embedgrad import tasks
from embedgrad.config import Config
from embedgrad.planning.work import LABELLED, Work

# What a configuration that says nothing else gets.
STEPS, CONTROLS = 10, 3
BUDGET, ANSWER_TOKENS, CANDIDATES = 2000, 16, 16
# Prompts that a report scores beside the random displacements, and in words.
ARMS, WORDS_ARMS = 5, 4
# A forward and a backward pass cost about as much as three forward passes.
GRADIENT = 3


def carry_effort(rule: str, task: str, spec: Mapping, batch: int, work: Work) -> tuple[int, int]:
    """Epochs' worth of training and answers' worth of decoding.

    Args:
        rule: ``carry_transfer`` or ``carry_words``.
        task: of the cell; where its answers are labels, they are read off the likelihoods and not decoded.
        spec: the configuration's ``carry``.
        batch: items of a step.
        work: items of the cell.
    """
    if rule == "carry_words":
        arms, forwards = WORDS_ARMS, spec.get("budget", BUDGET) + (WORDS_ARMS + 1) * work.test
    else:
        arms = ARMS + spec.get("controls", CONTROLS)
        forwards = 2 * GRADIENT * spec.get("steps", STEPS) * batch + 4 * work.dev
    read = tasks.find(task).EVALUATOR in LABELLED
    forwards += arms * work.test
    return ceil(forwards / (GRADIENT * work.train)), 0 if read else arms * work.test


def carry_jobs(config: Config) -> Iterator[tuple[str, dict[str, str]]]:
    """Rule and wildcards of each job of the configuration's ``carry``."""
    for source, target in config.carry:
        yield "carry_transfer", {"dataset": target.dataset, "model": target.model, "source": source.model}
    for cell in config.worded:
        yield "carry_words", {"dataset": cell.dataset, "model": cell.model}
