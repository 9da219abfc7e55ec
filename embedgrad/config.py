"""A run's configuration: read, checked against the schema, and turned into cells and command lines.

The workflow's rules get everything from here as plain values and flags, so that each job's parameters are exactly what
shapes its result: change one and only the jobs that depend on it run again.
"""

import difflib
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from embedgrad.planning.resources import Resources
from embedgrad.reporting.results.cells import Cell, read_cells
from embedgrad.schemas.check import check_schema
from embedgrad.schemas.plain import check_plain, whole_numbers
from embedgrad_core.files import UserError


@dataclass(frozen=True)
class Config:
    """A checked configuration and its table of cells."""

    values: Mapping
    table: list[Cell]

    @classmethod
    def check(cls, values: Mapping, source: str = "config") -> "Config":
        """Check a configuration.

        Raises:
            UserError: an unknown or missing key, a bad value, a cell table that does not fit, or an unknown cell; names
                the key and says what is allowed.
        """
        check_plain(values, source)
        if "seeds" in values:
            values = {**values, "seeds": whole_numbers(values["seeds"], source)}
        check_schema(values, source)
        config = cls(values, read_cells(values["cell_table"]))
        for cell in config.table:
            for kind, name in (("tasks", cell.task), ("models", cell.model)):
                if name not in values[kind]:
                    raise UserError(
                        f"{values['cell_table']}: cell {cell.dataset}/{cell.model} names {name!r}, which is not under "
                        f"`{kind}` in {source}."
                    )
        _ = config.cells, config.sensitivity
        for task, spec in values["tasks"].items():
            if spec.get("shards", 1) > 1 and "block" not in values["decode"]:
                raise UserError(
                    f"{source}: tasks.{task}.shards needs decode.block, the items that are answered together (say 128): with "
                    "it the number of shards changes no digit."
                )
        return config

    @property
    def run(self) -> str:
        """Name of the run."""
        return self.values["run"]

    @cached_property
    def mirror(self) -> Path | None:
        """The mirror folder, from the config or from EMBEDGRAD_MIRROR.

        Raises:
            UserError: it is named and not there.
        """
        named = self.values.get("mirror") or os.environ.get("EMBEDGRAD_MIRROR")
        if named and not Path(named).is_dir():
            raise UserError(f"mirror: {named} is not a folder; mend --config mirror=DIR or EMBEDGRAD_MIRROR.")
        return Path(named) if named else None

    def set_environment(self) -> None:
        """What the workflow's jobs inherit: the mirror, and the ``embedgrad`` command beside this interpreter.

        So no environment needs to be activated.
        """
        if self.mirror:
            os.environ["EMBEDGRAD_MIRROR"] = str(self.mirror)
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

    @cached_property
    def cells(self) -> list[Cell]:
        """The selected cells, in the order of the table.

        Raises:
            UserError: a name that is not in the table; suggests the nearest.
        """
        wanted = self.values.get("cells", "all")
        if wanted == "all":
            return self.table
        names = [name.strip() for name in wanted.split(",")] if isinstance(wanted, str) else list(wanted)
        return self._named(names, "cells")

    @cached_property
    def sensitivity(self) -> list[tuple[Cell, float]]:
        """Cells and learning rates of the sweep; none where the config has no ``sensitivity``.

        Raises:
            UserError: a name that is not in the table; suggests the nearest.
        """
        spec = self.values.get("sensitivity")
        if not spec:
            return []
        return [(cell, rate) for cell in self._named(spec["cells"], "sensitivity") for rate in spec["learning_rates"]]

    def _named(self, names: Sequence[str], key: str) -> list[Cell]:
        known = {f"{cell.dataset}/{cell.model}": cell for cell in self.table}
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
                hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}."
                raise UserError(f"{key}: {name!r} is not in {self.values['cell_table']}; {hint}")
        return [cell for name, cell in known.items() if name in names]

    def cell(self, dataset: str, model: str) -> Cell:
        """The table's row of a data set and a model."""
        return self._rows[dataset, model]

    @cached_property
    def _rows(self) -> dict[tuple[str, str], Cell]:
        return {(cell.dataset, cell.model): cell for cell in self.table}

    @cached_property
    def datasets(self) -> dict[str, str]:
        """Every data set of the table with its task: math500-L1 → math500."""
        return {cell.dataset: cell.task for cell in self.table}

    def model_folder(self, model: str) -> str | None:
        """The folder of a model that is not taken from the hub, or None.

        Raises:
            UserError: the config names a folder that is neither here nor in the mirror.
        """
        spec = self.values["models"][model]
        if "pretrain" in spec:
            return f"results/{self.run}/models/{model}"
        wanted = spec.get("folder") or f"models/{spec['hub'].split('/')[1]}"
        mirrored = self.mirror / wanted if self.mirror else None
        if mirrored and mirrored.is_dir():
            return str(mirrored)
        if "folder" in spec and not Path(wanted).is_dir():
            places = f"here or in the mirror {self.mirror}" if self.mirror else "here, and no mirror is set"
            raise UserError(f"models.{model}.folder: {wanted} is not a folder {places} (--config mirror=DIR).")
        return spec.get("folder")

    def model_flags(self, model: str) -> str:
        """Flags that load a model.

        Raises:
            UserError: its folder is not there, or it fits on no number of the named cards that a node has.
        """
        spec = self.values["models"][model]
        for training in (True, False):
            self.resources.cards(model, training)
        folder = self.model_folder(model)
        return _flags(
            {
                "model": folder or spec["hub"],
                "revision": spec.get("revision", "main"),
                "dtype": spec["dtype"],
                "device": self.values.get("device", "auto"),
                "device-map": self.resources.device_map(model),
                # Of a folder's files; from the hub the same model has other files, and its revision.
                "sha256": spec.get("sha256") if folder else None,
                "dequantised-from": spec.get("dequantised_from") if folder else None,
            }
        )

    def pretrain_flags(self, model: str) -> str:
        """Flags that pretrain a tiny model on the spot."""
        spec = self.values["models"][model]["pretrain"]
        return _flags({"name": model, "spec": json.dumps(spec, sort_keys=True)})

    @cached_property
    def resources(self) -> Resources:
        """What jobs need, forecast once a model: ``resources.job(model, training)``, ``resources.minutes(rule, wildcards)``."""
        return Resources(self)

    def prompt_flags(self, task: str) -> str:
        """Flags of the human prompt and its layout."""
        layout = {**self.values["layout"], **self.values["tasks"][task].get("layout", {})}
        escaped = {key.replace("_", "-"): value.replace("\n", "\\n") for key, value in layout.items()}
        return _flags(
            {"prompt": self.values["tasks"][task]["prompt"], "layout": escaped.pop("kind", "bare"), **escaped}
        )

    def rewrite_flags(self, task: str) -> str:
        """The rewrite of the human prompt, where the task has one."""
        return _flags({"rewrite": self.values["tasks"][task].get("rewrite")})

    def decode_flags(self, task: str) -> str:
        """Flags of decoding."""
        decode = self.values["decode"]
        flags = {
            "max-new-tokens": self.values["tasks"][task]["max_new_tokens"],
            "decode-batch-size": decode.get("batch_size"),
            "block": decode.get("block"),
            "stop-rule": decode.get("stop_rule"),
            "engine": decode.get("engine"),
            "tensor-parallel": decode.get("tensor_parallel"),
            "stop-on-loop": decode.get("stop_on_loop"),
            "loop-repeats": decode.get("loop_repeats"),
            "loop-tokens": decode.get("loop_tokens"),
        }
        return _flags(flags)

    def seeds(self, task: str) -> list[int]:
        """Seeds of the order of training items, the task's own or the run's."""
        return self.values["tasks"][task].get("seeds", self.values["seeds"])

    def shards(self, task: str) -> int:
        """How many jobs share a decoding of the task's test half."""
        return self.values["tasks"][task].get("shards", 1)

    def grade_flags(self, task: str) -> str:
        """Flags of grading."""
        return _flags({"task": task, "strict": self.values["decode"].get("strict", False)})

    def optimize_flags(self, dataset: str, model: str, seed: int) -> str:
        """Flags of one optimisation, model and prompt aside."""
        cell, settings = self.cell(dataset, model), self.values["optimize"]
        flags = {
            "level": cell.level,
            "learning-rate": cell.learning_rate,
            "epochs": cell.epochs,
            "seed": seed,
            **{key.replace("_", "-"): value for key, value in settings.items()},
            "checkpointing": self.resources.checkpointing(model),
        }
        return _flags(flags)

    def sensitivity_flags(self, dataset: str, model: str, rate: str) -> str:
        """Flags of one learning rate of the sweep: all epochs, the dev accuracy after each."""
        flags = {
            **{key.replace("_", "-"): value for key, value in self.values["optimize"].items()},
            "level": self.cell(dataset, model).level,
            "learning-rate": rate,
            "epochs": self.values["sensitivity"]["epochs"],
            "seed": self.seeds(self.cell(dataset, model).task)[0],
            "patience": 0,
            "dev-accuracy": True,
            "checkpointing": self.resources.checkpointing(model),
        }
        return _flags(flags)

    def cell_flags(self, dataset: str, model: str, seed: int) -> str:
        """Flags that name a cell and its row of the table."""
        flags = {"cell-table": self.values["cell_table"], "dataset": dataset, "model": model, "seed": seed}
        return _flags(flags)

    def table_flags(self) -> str:
        """Flags of what is drawn from the whole table."""
        own = {task: spec["seeds"] for task, spec in self.values["tasks"].items() if "seeds" in spec}
        parts = [self.values["seeds"], *own.values()]
        names = ["", *(f"{task}=" for task in own)]
        seeds = ";".join(name + ",".join(map(str, part)) for name, part in zip(names, parts, strict=True))
        return _flags({"cell-table": self.values["cell_table"], "results": f"results/{self.run}", "seeds": seeds})

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
        return _flags(
            {
                "task": task,
                "revision": spec.get("revision"),
                "pool": spec.get("pool"),
                "input-last-words": spec.get("input_last_words"),
                "options": json.dumps(spec.get("options", {}), ensure_ascii=False, sort_keys=True),
                "split-seed": split["seed"],
                "split-rule": split["rule"],
                "dev-fraction": split["dev_fraction"],
            }
        )


def read_config(path: str | Path) -> Config:
    """Read and check a configuration file.

    Raises:
        UserError: not there, not YAML, or wrong; names the file and the key.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    except RecursionError:
        raise UserError(f"{path}: not valid YAML (nested too deeply).") from None
    # The constructors of dates, numbers and tags raise what they please.
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not valid YAML ({getattr(error, 'problem', error)}).") from None
    try:
        return Config.check(values, str(path))
    except UserError as error:  # of a table that the configuration names, or a cell
        raise error if str(path) in str(error) else UserError(f"{path}: {error}") from None


def _flags(values: Mapping) -> str:
    """Shell-quoted flags; None and False leave a flag out, True gives it without a value."""
    words: list[str] = []
    for key, value in values.items():
        if value is True:
            words.append(f"--{key}")
        elif str(value).startswith("-"):  # apart it would be read as a flag itself
            words.append(shlex.quote(f"--{key}={value}"))
        elif value is not None and value is not False:
            words += [f"--{key}", shlex.quote(str(value))]
    return " ".join(words)
