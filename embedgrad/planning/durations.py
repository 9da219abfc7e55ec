"""Seconds of each job of the workflow: the forecast of a run, shared among the rules that do the work.

What a job adds to its work: importing torch and transformers, and reading the model's weights. Needs no torch itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil

from embedgrad.carry.effort import carry_effort
from embedgrad.config import Config
from embedgrad.planning.demand import EXAMPLES, SEARCHED, WIDTHS, rows_at_a_time
from embedgrad.planning.effort import probes
from embedgrad.planning.effort.rivals import rival_effort, timed, timed_answers
from embedgrad.planning.gpus import Machine
from embedgrad.planning.queues import Queue, at_once, decoding_seconds, one_by_one
from embedgrad.planning.resources import Resources
from embedgrad.planning.work import LABELLED, Work, added_decodings, ships_penalty, work_of
from embedgrad.rivals.table import RIVALS
from embedgrad.tasks import find
from embedgrad_core.model.costs import Shape
from embedgrad_core.model.sizes import OWN
from embedgrad_core.training.settings import across_folds, answers_dev

# Rules that load a model: those that train it, and those that answer with it.
CARRYING = ("carry_transfer", "carry_words")
TRAINING = ("optimize", "sensitivity", "rival_rate", "rival_fit", *probes.TRAINING, *CARRYING)
ANSWERING = ("before", "baselines", "chains", "after", "analyse", "rival_answer", "rival_cost")
LOADING = TRAINING + ANSWERING + probes.ANSWERING
# Rules whose commands a process that keeps its model does, in whole or in shards: not other methods, which change it, nor carrying.
RESIDENT = tuple(rule for rule in LOADING if not rule.startswith(("rival_", "carry_")))
# Decodings of the ladder: behind no prompt, the text in its two layouts, examples wrong and right, a rewrite where there is one.
# They answer dev too, and protocol recovery answers train in both layouts. The round trip and its controls answer dev six times.
LAYOUTS, DEV_DECODINGS = 2, 6
LOAD = 2e9  # bytes per second from a local disk to a GPU; a shared file system may give a tenth of it
CHECKED = 1.3e9  # bytes per second of a model's files held against their hashes: SHA-256 on one core, measured
# Seconds of a job that another process does, one that holds its model: the command's own start (0.4 s measured) and its parting.
HANDED = 1.0
READINGS, SCORED = 4, 200  # the entropy analysis reads both answers of this many items under both prompts
LAT = 2 * 200 * 40, 5 * 32  # tokens of LAT's pairs; dev items that it reads behind five prompts
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


def passes(settings: Mapping, epochs: int, work: Work) -> int:
    """Passes over train that an optimisation of so many epochs makes at most.

    Across folds each one trains on the others, and then all items are trained on: as much as so many passes over all of them.
    """
    folds = across_folds(settings.get("folds", 0), work.train, work.dev)
    return ceil(folds * epochs * (work.train + work.dev) / work.train) if folds else epochs


@dataclass(frozen=True)
class Durations:
    """Forecasts of single jobs.

    Attributes:
        config: the run.
        machine: what one job has to itself.
        resources: shapes of the models, and what is computed again for want of memory.
        load: bytes of weights read a second.
    """

    config: Config
    machine: Machine
    resources: Resources
    load: float = LOAD
    _known: dict[tuple[str | None, ...], float] = field(default_factory=dict, init=False, repr=False)

    def minutes(self, rule: str, wildcards: Mapping[str, str]) -> int:
        """The time limit to ask a scheduler for: four times the forecast and half an hour."""
        return MINUTES + ceil(SLACK * self.seconds(rule, wildcards) / 60)

    def fixed(self, rule: str, wildcards: Mapping[str, str]) -> float:
        """Seconds before a job's work starts: imports, and the weights where the rule needs them."""
        if _kind(rule) not in LOADING:
            return self.machine.baseline.start
        shape, width = self._model(wildcards["model"])
        stored = shape.weight_bytes(shape.stored)
        return self.machine.baseline.start + shape.weight_bytes(width) / self.load + stored / CHECKED

    def seconds(self, rule: str, wildcards: Mapping[str, str]) -> float:
        """Seconds of one job from its start to its end; seeds and shards of a job take the same.

        Args:
            rule: its rule's name; one that loads no model takes the time of its imports.
            wildcards: of the rule.
        """
        key = (rule, *(wildcards.get(name) for name in ("model", "dataset", "task", "rival")))
        if key not in self._known:  # a plan of thousands of jobs is a few sums
            self._known[key] = self._seconds(rule, wildcards)
        return self._known[key]

    def _seconds(self, rule: str, wildcards: Mapping[str, str]) -> float:
        if rule in ("data", "editions"):
            return MADE
        kind, fixed = _kind(rule), self.fixed(rule, wildcards)
        if kind not in LOADING:
            return fixed
        model, work, effort = wildcards["model"], self.work(wildcards, rule), self.effort_of(rule, wildcards)
        shape, width = self._model(model)
        settings, decode = self.config.values["optimize"], self.config.values["decode"]
        batch = rows_at_a_time(decode, shape, work.limit, width, self.machine.memory if self.machine.is_gpu else None)
        batch = 1 if kind == "rival_cost" else batch
        again = self.resources.checkpointing(model)
        spent = effort.epochs * epoch_flops(shape, work, settings, again) / self.machine.flops
        for items, lengths in effort.answered:
            asked = at_once(items, lengths) if kind.startswith("probe_") else self.queues(rule, wildcards, items)
            spent += decoding_seconds(shape, lengths, asked, batch, width, self.machine)
        spent += shape.read_flops(effort.read, effort.rows) / self.machine.flops
        spent += self.reading(kind, wildcards, work, shape) / self.machine.flops
        return fixed + spent / self.parts(rule, wildcards)

    def queues(self, rule: str, wildcards: Mapping[str, str], items: int) -> list[Queue]:
        """What a job answers, call by call; that of all its shards together."""
        kind, work, block = _kind(rule), self.work(wildcards, rule), self.config.values["decode"].get("block")
        decode = self.config.values["decode"]
        plain = decode.get("engine", "native") == "native" and decode.get("repetition_penalty") is None
        together = self.machine.is_gpu and plain and rule == kind
        if kind == "analyse":
            return at_once(items, work) if together else one_by_one([work.dev] * DEV_DECODINGS, work, block)
        if kind == "baselines":
            return self._ladder(wildcards, work, block, together)
        if kind in ("before", "after", "chains"):
            return one_by_one([items], work, block)
        if kind in ("optimize", "sensitivity"):  # dev after each epoch, where it is decoded
            epochs = items // max(1, work.dev)
            return at_once(work.dev, work) * epochs if together else one_by_one([work.dev] * epochs, work, block)
        return at_once(items, work)

    def _ladder(self, wildcards: Mapping[str, str], work: Work, block: int | None, together: bool) -> list[Queue]:
        values, task = self.config.values, wildcards["task"]
        ships = ships_penalty(self.config.model_folder(wildcards["model"]))
        free = added_decodings(values, task, ships_penalty=False)
        penalised = added_decodings(values, task, ships) - free
        both, searched = work.test + work.dev, min(work.train, SEARCHED)
        short = 1 + LAYOUTS + self._rewrites(task)
        if not together:
            parts = (
                [work.test, work.dev] * (short + 2) + [searched] * LAYOUTS + [searched, work.dev] * (free + penalised)
            )
            return one_by_one(parts, work, block)
        shown = [EXAMPLES, max(EXAMPLES, work.labels)]  # few_shot, and one of each answer
        lengths = [work.prompt + count * (work.input + work.target) for count in shown]
        own = [length for length in lengths if length <= OWN]
        rows = (short + len(own)) * both + LAYOUTS * searched + free * (searched + work.dev)
        longer = [queue for length in lengths if length > OWN for queue in at_once(both, work, length)]
        return at_once(rows, work) + longer + one_by_one([searched, work.dev] * penalised, work, block)

    def _rewrites(self, task: str) -> int:
        return int(bool(self.config.values["tasks"][task].get("rewrite")))

    def reading(self, kind: str, wildcards: Mapping[str, str], work: Work, shape: Shape) -> float:
        """Operations of what a job reads without answering: label likelihoods, entropies of given answers, LAT."""
        labels = work.input + work.labels * work.target if work.labels else 0
        if kind == "baselines":
            rows = (1 + self._rewrites(wildcards["task"])) * (work.test + work.dev)
            return shape.read_flops(rows * labels, rows * work.labels * work.target)
        if kind != "analyse":
            return 0.0
        scored = READINGS * min(work.test, SCORED)
        pairs, items = LAT
        tokens = (
            scored * (work.input + work.answer) + 2 * work.test * labels + pairs + items * (work.prompt + work.input)
        )
        return shape.read_flops(tokens, scored * work.answer + 2 * work.test * work.labels * work.target)

    @property
    def keeps_models(self) -> bool:
        """Whether jobs are done by a process that holds their model (:mod:`embedgrad.runtime.resident`)."""
        engine = self.config.values["decode"].get("engine", "native")
        return self.config.jobs_together(has_gpus=self.machine.is_gpu) and engine == "native"

    def in_turn(self, rule: str, wildcards: Mapping[str, str], loaded: set[str]) -> float:
        """Seconds of a job on one machine, where a model's jobs follow one another: a kept model is loaded by the first of them.

        ``loaded`` are the models that were, and is added to.
        """
        seconds, model = self.seconds(rule, wildcards), wildcards.get("model", "")
        alone = not self.machine.is_gpu or self.resources.gpus(model, True) == 1
        if self.keeps_models and _kind(rule) in RESIDENT and alone:
            seconds += HANDED - self.fixed(rule, wildcards) if model in loaded else 0.0
            loaded.add(model)
        return seconds

    def effort_of(self, rule: str, wildcards: Mapping[str, str]) -> probes.Effort:
        """What a job trains, answers and reads; that of all its shards together."""
        kind = _kind(rule)
        if kind.startswith("probe_"):
            cell, work = self.config.cell(wildcards["dataset"], wildcards["model"]), self.work(wildcards)
            others = {name: self.work({"task": name, "model": cell.model}) for name in self.config.tasks_of(cell.model)}
            labelled = find(cell.task).EVALUATOR in LABELLED
            values = self.config.values
            settings = values["optimize"] | ({"folds": 0} if self.config.has_own_chains(cell.task) else {})
            epochs = passes(settings, int(cell.epochs), work)
            return probes.probe_effort(kind, values, cell.task, work, others, labelled, epochs)
        epochs, items = self.effort(rule, wildcards)
        return probes.Effort(epochs, ((items, self.work(wildcards, rule)),))

    def tokens(self, rule: str, wildcards: Mapping[str, str]) -> tuple[int, int]:
        """Tokens that a job trains on, all epochs, and that it answers; of all its shards together."""
        work, effort = self.work(wildcards, rule), self.effort_of(rule, wildcards)
        trained = effort.epochs * work.train * (work.input + work.target)
        return trained, sum(items * lengths.answer for items, lengths in effort.answered)

    def effort(self, rule: str, wildcards: Mapping[str, str]) -> tuple[int, int]:
        """Epochs that a job trains and items that it answers; those of all its shards together. A probe's are another matter."""
        kind, work = _kind(rule), self.work(wildcards)
        if kind == "rival_cost":
            return 0, timed_answers(RIVALS[wildcards["rival"]])
        if kind in CARRYING:
            spec, batch = self.config.values["carry"], self.config.values["optimize"].get("batch_size", 8)
            return carry_effort(kind, self.config.datasets[wildcards["dataset"]], spec, batch, work)
        if kind.startswith("rival_"):
            epochs = int(self.config.cell(wildcards["dataset"], wildcards["model"]).epochs)
            others = (rival for _, rival in self.config.rivals)
            return rival_effort(RIVALS[wildcards["rival"]], kind == "rival_answer", epochs, work, others)
        if kind not in TRAINING:
            if kind == "baselines":
                added = self.searched(wildcards["task"], wildcards["model"], work)
                rungs = 1 + LAYOUTS + 2 + self._rewrites(wildcards["task"])
                return 0, rungs * (work.test + work.dev) + LAYOUTS * min(work.train, SEARCHED) + added
            return 0, {"analyse": DEV_DECODINGS * work.dev, "chains": work.train}.get(kind, work.test)
        if kind == "sensitivity":
            epochs, decoded = self.config.values["sensitivity"]["epochs"], True
        else:
            settings = self.config.values["optimize"]
            epochs = self.config.cell(wildcards["dataset"], wildcards["model"]).epochs
            decoded = answers_dev(settings.get("dev_accuracy"), settings.get("early_stop"))
            if self.config.has_own_chains(self.config.cell(wildcards["dataset"], wildcards["model"]).task):
                decoded, settings = True, {**settings, "folds": 0}
        # The dev accuracy is taken before the first epoch and after each.
        decodings = (int(epochs) + 1) * work.dev * decoded
        return (passes(settings, int(epochs), work), decodings) if kind == "optimize" else (int(epochs), decodings)

    def searched(self, task: str, model: str, work: Work) -> int:
        """Items that protocol recovery answers for the axes of the configuration."""
        ships = ships_penalty(self.config.model_folder(model))
        return added_decodings(self.config.values, task, ships) * (min(work.train, SEARCHED) + work.dev)

    def parts(self, rule: str, wildcards: Mapping[str, str]) -> int:
        """Jobs that share a decoding."""
        task = wildcards.get("task") or self.config.datasets[wildcards["dataset"]]
        return self.config.shards(task) if rule != _kind(rule) else 1

    def work(self, wildcards: Mapping[str, str], rule: str = "") -> Work:
        """What the cell or task that a rule names asks for, as that rule has it."""
        if wildcards.get("dataset"):  # Snakemake's own wildcards are a list of values to ``in``
            cell = self.config.cell(wildcards["dataset"], wildcards["model"])
            task, level = cell.task, cell.level
        else:
            task, level = wildcards["task"], None
        vocabulary = self.resources.shape(wildcards["model"]).vocabulary
        found = work_of(task, self.config.values["tasks"][task], self.config.values["split"], level, vocabulary)
        if _kind(rule) == "after":
            return replace(found, answer=found.trained)
        return timed(found) if rule == "rival_cost" else found

    def _model(self, name: str) -> tuple[Shape, int]:
        dtype = self.config.values["models"][name]["dtype"]
        return self.resources.shape(name), WIDTHS.get(dtype, self.machine.bytes_each)


def _kind(rule: str) -> str:
    """A rule, or the one that it makes a shard of."""
    return rule.removesuffix("_shard")
