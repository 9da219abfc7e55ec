"""What the workflow's rules look up: names of a run's files, and what a job needs, from the configuration and a job's wildcards.

An input, parameter or resource function is one that Snakemake calls with the wildcards of each job while it plans. Nothing here
needs Snakemake. ``workflow/rules/common.smk`` makes ``RUN`` of it: a rule says ``RUN.split_file("test.jsonl")``.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from embedgrad.carry.lookups import CarryLookups
from embedgrad.planning.durations import TRAINING
from embedgrad.planning.probe_lookups import ProbeLookups
from embedgrad.planning.work import searched_axes
from embedgrad.reporting.results.cells import Cell
from embedgrad.rivals.rival import Rival, goes_on_from, seeds_of
from embedgrad.rivals.table import CONTROL, RIVALS

Wildcards = Mapping[str, str]  # Snakemake's own: ``get`` and item access are all that is used
SPLITS = ("train.jsonl", "dev.jsonl", "test.jsonl", "split.json")
FIGURE_NAMES = ("before_after", "ladder", "limits", "training_curves", "gain", "entropy", "anchoring", "lat")
TABLE_NAMES = ("spread", "ladder", "prompts", "limits", "correlation", "recovery", "recovery_axes", "audit", "claims")


def one_of(names: Iterable[str]) -> str:
    """A pattern for exactly these names; for none, one that nothing fits."""
    return "|".join(map(re.escape, names)) or "(?!)"


def growing(amount: int) -> Callable[[Wildcards, int], int]:
    """Resource function: so much, and again as much with each new try (profiles for clusters try again)."""
    return lambda wildcards, attempt: amount * attempt


def light(minutes: int = 10, memory: int = 2000) -> dict[str, int | Callable[[Wildcards, int], int]]:
    """Resources of a rule that loads no model; ``memory`` in megabytes."""
    return {"gpu": 0, "mem_mb": growing(memory), "runtime": growing(minutes)}


def shard_flag(wildcards: Wildcards) -> str:
    """Parameter function: ``--shard I-of-N`` for a shard, nothing for a whole."""
    shard = wildcards.get("scatteritem")
    return f"--shard {shard}" if shard else ""


def cell_command(configfiles: Iterable[str | Path]) -> str:
    """How a single cell is made again, as the page shows it; the cell itself (``cells=NAME``) follows it."""
    given = (word for file in configfiles for word in ("--configfile", str(file)))
    return shlex.join(["snakemake", "--cores", "2", *given, "--config"])


@dataclass(frozen=True)
class Lookups(CarryLookups, ProbeLookups):
    """The names and needs of one run."""

    @property
    def figures(self) -> str:
        """Folder of the run's figures."""
        return f"figures/{self.config.run}"

    def tasks_pattern(self, sharded: bool) -> str:
        """A pattern for the tasks whose decodings several jobs share, or for those of one job."""
        return one_of(task for task in self.config.values["tasks"] if (self.config.shards(task) > 1) == sharded)

    def datasets_pattern(self, sharded: bool) -> str:
        """The same for data sets."""
        return one_of(name for name, task in self.config.datasets.items() if (self.config.shards(task) > 1) == sharded)

    def task_of(self, wildcards: Wildcards) -> str:
        """The task of a job's data set: math500-L1 → math500."""
        dataset = wildcards.get("dataset")
        return self.config.datasets[dataset] if dataset else wildcards["task"]

    def split_file(self, name: str) -> Callable[[Wildcards], str]:
        """Input function: a file of the task's prepared splits."""
        return lambda wildcards: f"{self.results}/data/{self.task_of(wildcards)}/{name}"

    def train_file(self, wildcards: Wildcards) -> str:
        """Input function: what a prompt is trained on, the task's items or those with the model's own chains of thought."""
        task = self.task_of(wildcards)
        if self.config.has_own_chains(task):
            return f"{self.results}/{task}/{wildcards['model']}/train.own_chain.jsonl"
        return f"{self.results}/data/{task}/train.jsonl"

    def before_file(self, name: str) -> Callable[[Wildcards], str]:
        """Input function: decoded once per (task, model), shared by levels and seeds."""
        return lambda wildcards: f"{self.results}/{self.task_of(wildcards)}/{wildcards['model']}/{name}"

    def model_folder(self, wildcards: Wildcards) -> list[str]:
        """Input function: the folder of a model that the workflow itself makes; nothing for one from elsewhere."""
        return self.made_model(wildcards["model"])

    def edition_file(self, wildcards: Wildcards) -> list[str]:
        """Input function: the other edition of a task's data, where protocol recovery is to search it."""
        wanted = "edition" in searched_axes(self.config.values, wildcards["task"])
        return [f"{self.results}/data/{wildcards['task']}/editions.json"] if wanted else []

    def answers_state(self, rule: str) -> Callable[[Wildcards], str]:
        """Parameter function: where a rule keeps finished blocks of answers.

        No output of the rule, so that a killed job goes on from them.
        """

        def path(wildcards: Wildcards) -> str:
            names = (wildcards.get(name) for name in ("task", "dataset", "model", "source", "seed", "scatteritem"))
            return f"{self.results}/resume/{'/'.join([rule, *filter(None, names)])}.state"

        return path

    def job_resources(self, rule: str) -> dict[str, Callable[[Wildcards, int], int]]:
        """Resource functions of a rule that loads a model: memory and GPUs from its shape, time from the job's forecast.

        Memory and time grow with each new try.
        """

        def needed(name: str, wildcards: Wildcards) -> int:
            models, found = {wildcards["model"], wildcards.get("source") or wildcards["model"]}, self.config.resources
            if rival := wildcards.get("rival"):
                return found.rival_job(wildcards["model"], RIVALS[rival], rule)[name]
            return max(found.job(model, rule in TRAINING)[name] for model in models)

        def minutes(wildcards: Wildcards) -> int:
            part = "_shard" if wildcards.get("scatteritem") else ""
            return self.config.durations.minutes(rule + part, wildcards)

        return {
            "gpu": lambda wildcards, attempt: needed("gpu", wildcards),
            "mem_mb": lambda wildcards, attempt: needed("mem_mb", wildcards) * attempt,
            "runtime": lambda wildcards, attempt: minutes(wildcards) * attempt,
        }

    def cell_files(self, name: str) -> list[str]:
        """A file of every selected cell and seed."""
        return [
            f"{self.results}/{cell.dataset}/{cell.model}/seed{seed}/{name}"
            for cell in self.config.cells
            for seed in self.config.seeds(cell.task)
        ]

    def task_files(self, name: str) -> list[str]:
        """A file of every (task, model) among the selected cells."""
        pairs = dict.fromkeys((cell.task, cell.model) for cell in self.config.cells)
        return [f"{self.results}/{task}/{model}/{name}" for task, model in pairs]

    def sweep_files(self, name: str) -> list[str]:
        """A file of every learning rate of the sweep."""
        return [
            f"{self.results}/sensitivity/{cell.dataset}/{cell.model}/lr{rate:g}/{name}"
            for cell, rate in self.config.sensitivity
        ]

    def sweep_tables(self) -> list[str]:
        """The table of the sweep of learning rates; none where the configuration has no sweep."""
        return [f"{self.results}/sensitivity.csv"] if self.config.sensitivity else []

    @property
    def rivals_seed(self) -> int:
        """The seed on which the rates of a method are tried."""
        spec = self.config.values.get("rivals")
        return int(spec["seeds"][0]) if spec else 0

    def rivals_pattern(self, with_rates: bool) -> str:
        """A pattern for the methods whose rate is chosen, or for all."""
        rivals = {rival.name: rival for _, rival in self.config.rivals}
        return one_of(name for name, rival in rivals.items() if rival.rates or not with_rates)

    def rival_rates(self, name: str) -> Callable[[Wildcards], list[str]]:
        """Input function: a file of every rate of a method's grid."""

        def files(wildcards: Wildcards) -> list[str]:
            folder = self._rival_folder(wildcards["dataset"], wildcards["model"], wildcards["rival"])
            return [f"{folder}/rate{rate:g}/{name}" for rate in self._rates(wildcards["rival"])]

        return files

    def rival_chosen(self, wildcards: Wildcards) -> list[str]:
        """Input function: the choice of a rate, for methods that have rates."""
        folder = self._rival_folder(wildcards["dataset"], wildcards["model"], wildcards["rival"])
        return [f"{folder}/chosen.json"] if self._rates(wildcards["rival"]) else []

    def control_fit(self, name: str) -> Callable[[Wildcards], str]:
        """Input function: a file of the null control's fit at the rate of the cell's own optimisation, one of its grid or not."""

        def path(wildcards: Wildcards) -> str:
            rate = self.config.cell(wildcards["dataset"], wildcards["model"]).learning_rate
            return f"{self._rival_folder(wildcards['dataset'], wildcards['model'], CONTROL)}/rate{rate:g}/{name}"

        return path

    def rival_checks(self) -> list[str]:
        """What the null control gave, of every cell of the comparison that has it."""
        return [
            f"{self._rival_folder(cell.dataset, cell.model, CONTROL)}/check.json"
            for cell, rival in self._awaited
            if rival.name == CONTROL
        ]

    @property
    def _awaited(self) -> list[tuple[Cell, Rival]]:
        """The cells and methods that the table waits for: none where it lists what is missing."""
        lists = (self.config.values.get("rivals") or {}).get("missing") == "list"
        return [] if lists else self.config.rivals

    def rival_files(self, name: str) -> list[str]:
        """A file of every cell, method and seed of the comparison."""
        seeds = (self.config.values.get("rivals") or {}).get("seeds", [])
        return [
            f"{self._rival_folder(cell.dataset, cell.model, rival.name)}/seed{seed}/{name}"
            for cell, rival in self._awaited
            for seed in seeds_of(rival, seeds)
        ]

    def rival_begun(self, wildcards: Wildcards) -> list[str]:
        """Input function: the answers of the method that this one goes on from, so that the two never answer at once."""
        earlier = goes_on_from(RIVALS[wildcards["rival"]], (rival for _, rival in self.config.rivals))
        folder = earlier and self._rival_folder(wildcards["dataset"], wildcards["model"], earlier.name)
        return [f"{folder}/seed{wildcards['seed']}/outputs.jsonl"] if folder else []

    def rival_state(self, wildcards: Wildcards) -> str:
        """Parameter function: the flags that keep blocks of answers, in one file for methods that go on from each other."""
        rounds = RIVALS[wildcards["rival"]].settings.get("rounds", 0)
        name = "self_refine" if rounds else wildcards["rival"]
        goes_on = rounds and any(rival.settings.get("rounds", 0) > rounds for _, rival in self.config.rivals)
        folder = f"{self.results}/resume/rivals/{wildcards['dataset']}/{wildcards['model']}/{name}"
        flags = ["--state", f"{folder}/seed{wildcards['seed']}.answers.state"]
        return shlex.join([*flags, "--keep-state"] if goes_on else flags)

    def rival_costs(self) -> list[str]:
        """The latency of every cell and method of the comparison, of the first seed's fit; none where it is not wanted."""
        return [
            f"{self._rival_folder(cell.dataset, cell.model, rival.name)}/cost.json"
            for cell, rival in self._awaited
            if self.config.values["rivals"].get("latency", True)
        ]

    def rival_cells(self, side: str) -> list[str]:
        """The graded answers before or after of every cell of the comparison, and what says how they came about."""
        cells = dict.fromkeys(cell for cell, _ in self.config.rivals)
        if side == "before":
            return [f"{self.results}/{cell.task}/{cell.model}/before.jsonl" for cell in cells]
        return [
            f"{self.results}/{cell.dataset}/{cell.model}/seed{seed}/after.jsonl"
            for cell in cells
            for seed in self.config.seeds(cell.task)
        ]

    def rival_ladders(self) -> list[str]:
        """The ladder of every cell of the comparison, and its graded answers."""
        pairs = dict.fromkeys((cell.task, cell.model) for cell, _ in self.config.rivals)
        return [f"{self.results}/{task}/{model}/ladder.{kind}" for task, model in pairs for kind in ("json", "jsonl")]

    def rival_figures(self, *axes: str) -> list[str]:
        """The figures of the comparison in both forms."""
        return [f"{self.figures}/rivals_{axis}.{suffix}" for axis in axes for suffix in ("png", "pdf")]

    def rival_tables(self) -> list[str]:
        """The table of the comparison; none where the configuration has none."""
        return [f"{self.results}/rivals.csv"] if self.config.rivals else []

    def _rates(self, rival: str) -> tuple[float, ...]:
        return next(found.rates for _, found in self.config.rivals if found.name == rival)

    def _rival_folder(self, dataset: str, model: str, rival: str) -> str:
        return f"{self.results}/rivals/{dataset}/{model}/{rival}"

    def report_tables(self) -> list[str]:
        """The tables that the page shows beside Table 2."""
        own = [f"{self.results}/{name}.csv" for name in TABLE_NAMES]
        return own + self.sweep_tables() + self.rival_tables() + self.carry_tables() + self.probe_tables()

    def tables(self) -> list[str]:
        """Table 2 in its three forms."""
        return [f"{self.results}/table2.{suffix}" for suffix in ("csv", "md", "tex")]

    def figure_files(self) -> list[str]:
        """The figures in both forms."""
        return [f"{self.figures}/{name}.{suffix}" for name in FIGURE_NAMES for suffix in ("png", "pdf")]
