"""Seconds of each job of the workflow: the forecast of a run, dealt out to the rules that do the work.

What a job adds to its work: importing torch and transformers, and reading the model's weights. Needs no torch itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from embedgrad.planning.demand import WIDTHS
from embedgrad.planning.work import Work, work_of
from embedgrad_core.costs import Shape

if TYPE_CHECKING:
    from embedgrad.config import Config
    from embedgrad.planning.cards import Machine

# Decodings of the test half, in test halves: before, the ladder's rungs and the two layouts of protocol recovery once a
# (task, model) …
RUNGS, LAYOUTS = 4, 2
SHARED_DECODINGS = 1 + RUNGS + LAYOUTS
# … and after once a cell; the round trip and its controls answer dev six times.
DEV_DECODINGS = 6
START = 6.0  # seconds in which a job imports torch and transformers
LOAD = 2e9  # bytes a second from a local disk to a card; a shared file system may give a tenth of it
READINGS, SCORED = 4, 200  # the entropy analysis reads both answers of so many items under both prompts
MADE = 60.0  # seconds in which a data set is fetched, split and certified
# A scheduler ends what exceeds its time: answers longer than assumed, a slower disk, other users of the node.
SLACK, MINUTES = 4, 30


def epoch_flops(shape: Shape, work: Work, settings: Mapping, checkpointing: bool = False) -> float:
    """One pass over train, forward and backward, and the check on dev; the prompt runs once a batch."""
    shared = work.prompt / settings.get("batch_size", 8)
    own = work.input + work.target
    step = shape.step_flops(work.train * (own + shared), work.train * work.target)
    if checkpointing:
        step *= 1.5
    return step + shape.read_flops(work.dev * own, work.dev * work.target)


def decoding_seconds(shape: Shape, work: Work, items: int, batch: int, width: int, machine: "Machine") -> float:
    """Seconds of answering: the greater of arithmetic and of reading weights and cache, and reading the inputs."""
    tokens = items * work.answer
    arithmetic = shape.read_flops(tokens, tokens) / machine.flops
    cache = shape.cache_bytes(batch * (work.prompt + work.input + work.answer // 2), width)
    steps = tokens / max(1, min(batch, items))
    reading = steps * (shape.bytes_a_decoding_step(width) + cache) / machine.read
    return max(arithmetic, reading) + shape.read_flops(items * work.input, items) / machine.flops


@dataclass(frozen=True)
class Durations:
    """Forecasts of single jobs.

    Attributes:
        config: the run.
        machine: what one job has to itself.
        load: bytes of weights read a second.
    """

    config: "Config"
    machine: "Machine"
    load: float = LOAD

    def minutes(self, rule: str, wildcards: Mapping[str, str]) -> int:
        """The time limit to ask a scheduler for: four times the forecast and half an hour."""
        return MINUTES + ceil(SLACK * self.seconds(rule, wildcards) / 60)

    def fixed(self, rule: str, wildcards: Mapping[str, str]) -> float:
        """Seconds before a job's work starts: imports, and the weights where the rule needs them."""
        if rule not in WORK:
            return START
        shape, width = self._model(wildcards["model"])
        return START + shape.weight_bytes(width) / self.load

    def seconds(self, rule: str, wildcards: Mapping[str, str]) -> float:
        """Seconds of one job from its start to its end.

        Args:
            rule: its rule's name; one that loads no model takes the time of its imports.
            wildcards: of the rule.
        """
        if rule == "data":
            return MADE
        fixed = self.fixed(rule, wildcards)
        return fixed + WORK[rule](self, wildcards) if rule in WORK else fixed

    def _model(self, name: str) -> tuple[Shape, int]:
        dtype = self.config.values["models"][name]["dtype"]
        return self.config.resources.shape(name), WIDTHS.get(dtype, self.machine.bytes_each)

    def _work(self, wildcards: Mapping[str, str]) -> Work:
        if "dataset" in wildcards:
            cell = self.config.cell(wildcards["dataset"], wildcards["model"])
            task, level = cell.task, cell.level
        else:
            task, level = wildcards["task"], None
        return work_of(task, self.config.values["tasks"][task], self.config.values["split"], level)

    def _answering(self, wildcards: Mapping[str, str], test: int, dev: int = 0) -> float:
        """Seconds of so many decodings of the test half and of dev."""
        (shape, width), work = self._model(wildcards["model"]), self._work(wildcards)
        batch = self.config.values["decode"].get("batch_size", 16)
        return decoding_seconds(shape, work, test * work.test + dev * work.dev, batch, width, self.machine)

    def _training(self, wildcards: Mapping[str, str], epochs: int) -> float:
        shape, work = self._model(wildcards["model"])[0], self._work(wildcards)
        again = self.config.resources.checkpointing(wildcards["model"])
        return epochs * epoch_flops(shape, work, self.config.values["optimize"], again) / self.machine.flops

    def _optimize(self, wildcards: Mapping[str, str]) -> float:
        epochs = self.config.cell(wildcards["dataset"], wildcards["model"]).epochs
        # The dev accuracy is taken before the first epoch and after each.
        settings = self.config.values["optimize"]
        decoded = settings.get("dev_accuracy") or settings.get("early_stop") == "dev_accuracy"
        return self._training(wildcards, epochs) + self._answering(wildcards, 0, epochs + 1) * bool(decoded)

    def _sweep(self, wildcards: Mapping[str, str]) -> float:
        epochs = self.config.values["sensitivity"]["epochs"]
        return self._training(wildcards, epochs) + self._answering(wildcards, 0, epochs + 1)

    def _analyse(self, wildcards: Mapping[str, str]) -> float:
        shape, work = self._model(wildcards["model"])[0], self._work(wildcards)
        rows = READINGS * min(work.test, SCORED)
        reading = shape.read_flops(rows * (work.input + work.answer), rows * work.answer) / self.machine.flops
        return self._answering(wildcards, 0, DEV_DECODINGS) + reading

    def _shard(self, wildcards: Mapping[str, str], test: int = 1) -> float:
        task = wildcards.get("task") or self.config.datasets[wildcards["dataset"]]
        return self._answering(wildcards, test) / self.config.shards(task)


WORK = {
    "before": lambda durations, wildcards: durations._answering(wildcards, 1),
    "baselines": lambda durations, wildcards: durations._answering(wildcards, RUNGS + LAYOUTS),
    "after": lambda durations, wildcards: durations._answering(wildcards, 1),
    "before_shard": Durations._shard,
    "after_shard": Durations._shard,
    "baselines_shard": lambda durations, wildcards: durations._shard(wildcards, RUNGS + LAYOUTS),
    "optimize": Durations._optimize,
    "sensitivity": Durations._sweep,
    "analyse": Durations._analyse,
}
