"""A run's configuration: read, checked against the schema, and turned into cells."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import yaml

from embedgrad.reporting.results.cells import Cell, read_cells
from embedgrad.rivals.applies import check_comparison, reason_against
from embedgrad.rivals.rival import Rival, with_middle_rates
from embedgrad.rivals.table import rival_named
from embedgrad.schemas.check import check_schema, hint
from embedgrad.schemas.plain import check_plain, whole_numbers
from embedgrad.tasks import TASKS
from embedgrad.tasks.targets import OWN_CHAIN
from embedgrad_core.files import UserError


@dataclass(frozen=True)
class Config:
    """A checked configuration and its table of cells."""

    values: Mapping
    table: list[Cell]

    @classmethod
    def check(cls, values: Mapping, source: str = "config") -> Self:
        """Check a configuration.

        Raises:
            UserError: an unknown or missing key, a bad value, a cell table that does not fit, or an unknown cell; names
                the key and says what is allowed.
        """
        check_plain(values, source)
        if "seeds" in values:
            values = {**values, "seeds": whole_numbers(values["seeds"], source)}
        values = check_schema(values, source)
        for task in values["tasks"]:
            if task not in TASKS:
                raise UserError(
                    f"{source}: tasks.{task}: no such data set; {hint(task, TASKS, 'the workflow has')} "
                    'How to add one of your own: CONTRIBUTING.md, "A data set".'
                )
        config = cls(values, read_cells(values["cell_table"]))
        for cell in config.table:
            for kind, name in (("tasks", cell.task), ("models", cell.model)):
                if name not in values[kind]:
                    raise UserError(
                        f"{values['cell_table']}: cell {cell.dataset}/{cell.model} names {name!r}, which is not under "
                        f"`{kind}` in {source}."
                    )
        _ = config.cells, config.sensitivity, config.rivals, config.carry, config.probed_cells("variance")
        for key, cells in (
            ("sensitivity", [cell for cell, _ in config.sensitivity]),
            ("rivals", [cell for cell, _ in config.rivals]),
            ("carry", [cell for cell, _ in config.carry]),
        ):
            if chained := [cell for cell in cells if config.has_own_chains(cell.task)]:
                raise UserError(
                    f"{source}: {key}: {chained[0].dataset}/{chained[0].model} trains on labels, and tasks.{chained[0].task} on "
                    "own_chain; leave the cell out, or take another target."
                )
        check_comparison(values, [(cell, rival, config.seeds(cell.task)) for cell, rival in config.rivals], source)
        if config.run in values.get("split_runs", []):
            raise UserError(
                f"{source}: split_runs: {config.run} is this run itself; name runs with another split.seed or "
                "optimize.displacement_seed."
            )
        for task, spec in values["tasks"].items():
            if config.has_own_chains(task) and not hasattr(TASKS.get(task), "LABELS"):
                raise UserError(
                    f"{source}: tasks.{task}.options.target: own_chain is for tasks with labels; choose another."
                )
            if spec.get("shards", 1) > 1 and "block" not in values["decode"]:
                raise UserError(
                    f"{source}: tasks.{task}.shards needs decode.block, the items that are answered together (e.g. 128): so "
                    "batches do not depend on the number of shards."
                )
        return config

    @classmethod
    def read(cls, *paths: str | Path) -> Self:
        """Read and check configuration files, later ones on top of the first: as ``snakemake --configfile A B``.

        Raises:
            UserError: not there, not YAML, or wrong; names the file and the key.
        """
        values = _read_yaml(paths[0])
        for path in paths[1:]:
            values = _on_top(values, _read_yaml(path))
        source = " + ".join(map(str, paths))
        try:
            return cls.check(values, source)
        except UserError as error:  # of a table that the configuration names, or a cell
            raise error if source in str(error) else UserError(f"{source}: {error}") from None

    @property
    def results(self) -> str:
        """Folder of the run's results."""
        return f"results/{self.run}"

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
            raise UserError(f"mirror: {named} is not a folder; fix --config mirror=DIR or EMBEDGRAD_MIRROR.")
        return Path(named) if named else None

    def set_environment(self) -> None:
        """What the workflow's jobs inherit: the mirror, and the ``embedgrad`` command beside this interpreter.

        So no environment needs to be activated.
        """
        if self.mirror:
            os.environ["EMBEDGRAD_MIRROR"] = str(self.mirror)
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

    def jobs_together(self, has_gpus: bool) -> bool:
        """Whether jobs run in a process that keeps its model (:mod:`embedgrad.runtime.resident`)."""
        wanted = self.values.get("cell_jobs", "auto")
        return wanted == "together" or (wanted == "auto" and has_gpus and self.values.get("device", "auto") != "cpu")

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

    @cached_property
    def rivals(self) -> list[tuple[Cell, Rival]]:
        """Cells and the methods that are fitted beside EmbedGrad on them; none where the config has no ``rivals``.

        Raises:
            UserError: a cell that is not in the table or a method that is not known; suggests the nearest cell.
        """
        return [(cell, rival) for cell, rival, against in self._asked_rivals if not against]

    @property
    def rivals_left_out(self) -> list[tuple[Cell, Rival, str]]:
        """Those that are asked for and do not apply to a cell, each with the reason."""
        return [asked for asked in self._asked_rivals if asked[2]]

    @cached_property
    def _asked_rivals(self) -> list[tuple[Cell, Rival, str]]:
        spec = self.values.get("rivals")
        if not spec:
            return []
        methods = [with_middle_rates(rival_named(name), spec.get("rates")) for name in spec["methods"]]
        cells = self._named(spec["cells"], "rivals.cells")
        models = self.values["models"]
        return [(cell, one, reason_against(one, cell, models[cell.model])) for cell in cells for one in methods]

    @cached_property
    def carry(self) -> list[tuple[Cell, Cell]]:
        """Pairs of cells with one data set: the prompt of the first is carried to the model of the second, and to its own.

        Raises:
            UserError: a name that is not in the table; suggests the nearest.
        """
        spec = self.values.get("carry")
        cells = self._named(spec["cells"], "carry.cells") if spec else []
        return [(one, other) for one in cells for other in cells if one.dataset == other.dataset]

    @property
    def worded(self) -> list[Cell]:
        """Cells for whose prompts human words are searched; none where ``carry`` has a budget of 0."""
        wanted = bool(self.carry) and self.values["carry"].get("budget", 1)
        return list(dict.fromkeys(cell for cell, _ in self.carry)) if wanted else []

    def _named(self, names: Sequence[str], key: str) -> list[Cell]:
        known = {f"{cell.dataset}/{cell.model}": cell for cell in self.table}
        for name in names:
            if name not in known:
                raise UserError(f"{key}: {name!r} is not in {self.values['cell_table']}; {hint(name, known)}")
        return [cell for name, cell in known.items() if name in names]

    def cell(self, dataset: str, model: str) -> Cell:
        """The table's row of a data set and a model.

        Raises:
            UserError: there is none; suggests the nearest.
        """
        return self._rows.get((dataset, model)) or self._named([f"{dataset}/{model}"], "cell")[0]

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
            return f"{self.results}/models/{model}"
        wanted = spec.get("folder") or f"models/{spec['hub'].split('/')[1]}"
        mirrored = self.mirror / wanted if self.mirror else None
        if mirrored and mirrored.is_dir():
            return str(mirrored)
        if "folder" in spec and not Path(wanted).is_dir():
            places = f"here or in the mirror {self.mirror}" if self.mirror else "here, and no mirror is set"
            raise UserError(f"models.{model}.folder: {wanted} is not a folder {places} (--config mirror=DIR).")
        return spec.get("folder")

    def has_own_chains(self, task: str) -> bool:
        """Whether a task's prompts are trained on each model's own chains of thought."""
        return self.values["tasks"][task].get("options", {}).get("target") == OWN_CHAIN

    def seeds(self, task: str) -> list[int]:
        """Seeds of the order of training items, the task's own or the run's."""
        return self.values["tasks"][task].get("seeds", self.values["seeds"])

    def tasks_of(self, model: str) -> list[str]:
        """The tasks that a model has a selected cell of, in the order of the table."""
        return list(dict.fromkeys(cell.task for cell in self.cells if cell.model == model))

    def probed_cells(self, name: str) -> list[Cell]:
        """The selected cells that a probe looks at: of ``variance`` those that the other splits have."""
        if name != "variance" or "split_cells" not in self.values:
            return self.cells
        return [cell for cell in self._named(self.values["split_cells"], "split_cells") if cell in self.cells]

    def shards(self, task: str) -> int:
        """How many jobs share a decoding of the task's test half."""
        return self.values["tasks"][task].get("shards", 1)


def _read_yaml(path: str | Path) -> Any:
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    except RecursionError:
        raise UserError(f"{path}: not valid YAML (nested too deeply).") from None
    # The constructors of dates, numbers and tags raise what they please.
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not valid YAML ({getattr(error, 'problem', error)}).") from None


def _on_top(below: Any, above: Any) -> Any:
    """Mappings are merged key by key; of everything else the later one counts."""
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _on_top(below[key], value) if key in below else value for key, value in above.items()}
    return above
