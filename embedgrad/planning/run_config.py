"""A run's configuration as the command lines of its jobs, with what those jobs need.

The workflow's rules get everything from here as plain values and flags, so that each job's parameters are exactly what
shapes its result: change one and only the jobs that depend on it run again.
"""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from embedgrad.carry.effort import ANSWER_TOKENS, BUDGET, CANDIDATES, CONTROLS, STEPS
from embedgrad.config import Config
from embedgrad.planning.durations import Durations
from embedgrad.planning.effort.probes import probe_sizes
from embedgrad.planning.resources import Resources
from embedgrad.planning.work import searched_axes
from embedgrad.rivals.rival import seeds_of
from embedgrad.tasks import TASKS

# What of the run's own optimisation every rival's has, too; embedgrad.rivals.applies refuses the rest.
RIVAL_SETTINGS = ("optimizer", "weight_decay", "loss_reduction", "batch_size", "patience", "token_budget")


class RunConfig(Config):
    """A checked configuration that knows its jobs."""

    def model_flags(self, model: str) -> str:
        """Flags that load a model.

        Raises:
            UserError: its folder is not there, or it fits on no number of the named GPUs that a node has.
        """
        return _flags(self._model(model))

    def _model(self, model: str) -> dict[str, str | None]:
        spec = self.values["models"][model]
        for training in (True, False):
            self.resources.gpus(model, training)
        folder = self.model_folder(model)
        return {
            "model": folder or spec["hub"],
            "revision": spec.get("revision", "main"),
            "dtype": spec["dtype"],
            "device": self.values.get("device", "auto"),
            "device_map": self.resources.device_map(model),
            # Of a folder's files; from the hub the same model has other files, and its revision.
            "sha256": spec.get("sha256") if folder else None,
            "dequantised_from": spec.get("dequantised_from") if folder else None,
        }

    def pretrain_flags(self, model: str) -> str:
        """Flags that pretrain a tiny model on the spot."""
        spec = self.values["models"][model]["pretrain"]
        return _flags({"name": model, "spec": json.dumps(spec, sort_keys=True)})

    @cached_property
    def resources(self) -> Resources:
        """What jobs need, forecast once per model: ``resources.job(model, training)``."""
        return Resources(self)

    @cached_property
    def durations(self) -> Durations:
        """Forecasts on the named GPU; on a middling one, or a slow CPU, where none is named."""
        return Durations(self, self.resources.machine(True), self.resources)

    def turn(self, together: bool) -> Callable[[Mapping[str, str]], int]:
        """Priority function: a model's jobs one after the other, the largest model first, where a process keeps it."""
        models = self.values["models"]
        smallest_first = sorted(models, key=lambda name: models[name].get("parameters", 0))
        return lambda wildcards: 1 + smallest_first.index(wildcards["model"]) if together else 0

    def prompt_flags(self, task: str) -> str:
        """Flags of the human prompt and its layout."""
        return _flags({"prompt": self.values["tasks"][task]["prompt"], **self._layout(task)})

    def _layout(self, task: str) -> dict[str, str]:
        layout = {**self.values["layout"], **self.values["tasks"][task].get("layout", {})}
        escaped = {key: value.replace("\n", "\\n") for key, value in layout.items()}
        return {"layout": escaped.pop("kind", "bare"), **escaped}

    def rewrite_flags(self, task: str) -> str:
        """The rewrite of the human prompt, where the task has one."""
        return _flags({"rewrite": self.values["tasks"][task].get("rewrite")})

    def baselines_flags(self, task: str) -> str:
        """What ladder and protocol recovery have beyond that: the rewrite, and the axes that the configuration names."""
        axes = searched_axes(self.values, task)
        edition = f"{self.results}/data/{task}/editions.json" if "edition" in axes else None
        flags = _flags({"axes": ",".join(axes) or None, "edition": edition})
        return " ".join(filter(None, [self.rewrite_flags(task), flags]))

    def edition_flags(self, task: str) -> str:
        """Flags that look for the other edition of a task's data."""
        spec = self.values["tasks"][task]
        own = spec.get("options", {}).get("edition")
        return _flags({"task": task, "own": own, "input_last_words": spec.get("input_last_words")})

    def decode_flags(self, task: str) -> str:
        """Flags of decoding."""
        limit, decode = self.values["tasks"][task]["max_new_tokens"], self.values["decode"]
        keys = ("block", "stop_rule", "engine", "tensor_parallel", "stop_on_loop", "loop_repeats", "loop_tokens")
        flags = {"max_new_tokens": limit, "decode_batch_size": decode.get("batch_size")}
        return _flags(flags | {key: decode.get(key) for key in (*keys, "repetition_penalty")})

    def grade_flags(self, task: str) -> str:
        """Flags of grading."""
        return _flags({"task": task, "strict": self.values["decode"].get("strict", False), "box": self._box([task])})

    def _box(self, tasks: Iterable[str]) -> str | None:
        """Which box counts, where the configuration says so and one of the tasks has answers in boxes."""
        boxed = any(getattr(TASKS.get(task), "EVALUATOR", None) == "boxed_math" for task in tasks)
        return self.values["decode"].get("box") if boxed else None

    def analysis_flags(self, task: str) -> str:
        """Flags of decoding and of what LAT costs; without the key ``lat``, of decoding alone."""
        sizes = {f"lat_{key}": value for key, value in self.values.get("lat", {}).items()}
        return " ".join(filter(None, (self.decode_flags(task), _flags(sizes))))

    def optimize_flags(self, dataset: str, model: str, seed: int) -> str:
        """Flags of one optimisation, model and prompt aside."""
        cell, settings = self.cell(dataset, model), self.values["optimize"]
        flags = {
            "level": cell.level,
            "learning_rate": cell.learning_rate,
            "epochs": cell.epochs,
            "seed": seed,
            **settings,
            "checkpointing": self.resources.checkpointing(model),
        }
        if self.has_own_chains(cell.task):  # dev has no chains whose loss could choose
            flags |= {"early_stop": "dev_accuracy", "folds": None}
        return _flags(flags)

    def sensitivity_flags(self, dataset: str, model: str, rate: str) -> str:
        """Flags of one learning rate of the sweep: all epochs, the dev accuracy after each."""
        flags = {
            **self.values["optimize"],
            "level": self.cell(dataset, model).level,
            "learning_rate": rate,
            "epochs": self.values["sensitivity"]["epochs"],
            "seed": self.seeds(self.cell(dataset, model).task)[0],
            "patience": 0,
            "folds": None,  # the sweep shows every epoch on dev
            "dev_accuracy": True,
            "checkpointing": self.resources.checkpointing(model),
        }
        return _flags(flags)

    def trajectory_flags(self, dataset: str, model: str, seed: int) -> str:
        """Flags of an optimisation over more epochs than any cell has, which chooses none of them."""
        flags = {
            **self.values["optimize"],
            "level": self.cell(dataset, model).level,
            "learning_rate": self.cell(dataset, model).learning_rate,
            "epochs": probe_sizes(self.values)["epochs"],
            "seed": seed,
            "patience": 0,
            "folds": None,
            "early_stop": None,
            "dev_accuracy": None,
            "checkpointing": self.resources.checkpointing(model),
        }
        return _flags(flags)

    def rival_flags(self, dataset: str, model: str, seed: int) -> str:
        """Flags of one fit of a rival, its name and rate aside: the items, epochs and batches of the cell's own optimisation."""
        cell, settings = self.cell(dataset, model), self.values["optimize"]
        flags = {"level": cell.level, "epochs": cell.epochs, "seed": seed}
        flags |= {key: settings.get(key) for key in RIVAL_SETTINGS}
        return _flags(flags | {"checkpointing": self.resources.checkpointing(model)})

    def rivals_flags(self) -> str:
        """Flags of the table of rivals; empty where there are none."""
        if not self.rivals:
            return ""
        cells = list(dict.fromkeys(cell for cell, _ in self.rivals))
        rivals, seeds = list({one.name: one for _, one in self.rivals}.values()), self.values["rivals"]["seeds"]
        lists = {"cells": [f"{cell.dataset}/{cell.model}" for cell in cells], "methods": [one.name for one in rivals]}
        lists |= {"seeds": seeds, "once": [one.name for one in rivals if seeds_of(one, seeds) != seeds]}
        left_out = ((f"{cell.dataset}/{cell.model}", one.name, why) for cell, one, why in self.rivals_left_out)
        words = [shlex.join(["--left-out", *parts]) for parts in left_out]
        words += ["--list-missing"] if self.values["rivals"].get("missing") == "list" else []
        words += [f"--{key} {shlex.join(map(str, values))}" for key, values in lists.items() if values]
        return " ".join([_flags({"cell_table": self.values["cell_table"], "run_seeds": self._all_seeds()}), *words])

    def carry_flags(self, dataset: str, source: str, model: str) -> str:
        """Flags that carry a prompt of one model over to another: its rate and batches are those of the cell there."""
        cell, spec, other = self.cell(dataset, model), self.values["carry"], self._model(model)
        flags: dict = {**self._model(source), "to": other.pop("model")}
        flags["device_map"] = flags["device_map"] or other["device_map"]
        flags |= {f"to_{key}": other[key] for key in ("revision", "dtype", "sha256", "dequantised_from")}
        flags |= {"steps": spec.get("steps", STEPS), "controls": spec.get("controls", CONTROLS)}
        flags |= {"learning_rate": cell.learning_rate, "batch_size": self.values["optimize"].get("batch_size")}
        return _flags(flags | {"seed": self.seeds(cell.task)[0], "level": cell.level})

    def words_flags(self, dataset: str, model: str) -> str:
        """Flags that search for words for a cell's optimised prompt."""
        cell, spec = self.cell(dataset, model), self.values["carry"]
        flags: dict = {"budget": spec.get("budget", BUDGET), "answer_tokens": spec.get("answer_tokens", ANSWER_TOKENS)}
        flags |= {"candidates": spec.get("candidates", CANDIDATES), "level": cell.level}
        flags |= {"batch_size": self.values["optimize"].get("batch_size"), "seed": self.seeds(cell.task)[0]}
        return _flags(self._model(model) | flags)

    def rewrite_reading_flags(self, dataset: str, model: str) -> str:
        """Flags that read labels behind the rewrite of the human prompt; nothing, and so no model, where the task has none."""
        task = self.cell(dataset, model).task
        if not self.values["tasks"][task].get("rewrite"):
            return ""
        layout = _flags(self._layout(task))
        return " ".join([self.model_flags(model), self.rewrite_flags(task), layout])

    def asked_flags(self, model: str) -> str:
        """Flags that put every task of a model to a prompt, each with its own token limit."""
        words = []
        for task in self.tasks_of(model):
            limit = str(self.values["tasks"][task]["max_new_tokens"])
            words += ["--asked", task, limit, f"{self.results}/data/{task}/test.jsonl"]
        readings = {"strict": self.values["decode"].get("strict", False), "box": self._box(self.tasks_of(model))}
        return " ".join([shlex.join(words), _flags(readings)]).strip()

    def size_flags(self, flag: str, size: str) -> str:
        """A probe's size, by its key in ``probe_sizes``, as the flag that takes it."""
        return _flags({flag: probe_sizes(self.values)[size]})

    def cell_flags(self, dataset: str, model: str, seed: int) -> str:
        """Flags that name a cell and its row of the table."""
        flags = {"cell_table": self.values["cell_table"], "dataset": dataset, "model": model, "seed": seed}
        return _flags(flags)

    def table_flags(self) -> str:
        """Flags of what is drawn from the whole table."""
        return _flags({"cell_table": self.values["cell_table"], "results": self.results, "seeds": self._all_seeds()})

    def _all_seeds(self) -> str:
        """The run's seeds, then those of each task that has its own: ``0,1,2;math500=0``."""
        own = {task: spec["seeds"] for task, spec in self.values["tasks"].items() if "seeds" in spec}
        parts = [self.values["seeds"], *own.values()]
        names = ["", *(f"{task}=" for task in own)]
        return ";".join(name + ",".join(map(str, part)) for name, part in zip(names, parts, strict=True))

    def level_flags(self, dataset: str) -> str:
        """``--level N`` for a level's cell, nothing for a whole task."""
        return _flags({"level": self._levels[dataset]})

    @cached_property
    def _levels(self) -> dict[str, str | None]:
        return {cell.dataset: cell.level for cell in reversed(self.table)}

    def data_flags(self, task: str) -> str:
        """Flags that prepare a task's splits.

        The mirror is left out, so that setting it later repeats nothing: ``split.json`` says where the rows came from. (For
        IMDB that matters: the mirror holds 2,000 of the hub's 25,000 reviews, and the drawn pool differs.)
        """
        spec, split = self.values["tasks"][task], self.values["split"]
        flags = {"task": task, **{key: spec.get(key) for key in ("revision", "pool", "input_last_words")}}
        flags["options"] = json.dumps(spec.get("options", {}), ensure_ascii=False, sort_keys=True)
        flags |= {"split_seed": split["seed"], "split_rule": split["rule"], "dev_fraction": split["dev_fraction"]}
        return _flags(flags)


@dataclass(frozen=True)
class RunNames:
    """Names of a run's files.

    Attributes:
        config: the run's checked configuration.
    """

    config: RunConfig

    @property
    def results(self) -> str:
        """Folder of the run's results."""
        return self.config.results

    def first_seed(self, dataset: str, model: str) -> str:
        """Folder of a cell's first seed."""
        return f"{self.results}/{dataset}/{model}/seed{self.config.seeds(self.config.datasets[dataset])[0]}"

    def made_model(self, model: str) -> list[str]:
        """The folder of a model that the workflow itself makes; nothing for one from elsewhere."""
        return [f"{self.results}/models/{model}"] if "pretrain" in self.config.values["models"][model] else []


def _flags(values: Mapping) -> str:
    """Shell-quoted flags by the names of their keys; None and False leave a flag out, True gives it without a value."""
    words: list[str] = []
    for key, value in values.items():
        flag = f"--{key.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif str(value).startswith("-"):  # apart it would be read as a flag itself
            words.append(shlex.quote(f"{flag}={value}"))
        elif value is not None and value is not False:
            words += [flag, shlex.quote(str(value))]
    return " ".join(words)
