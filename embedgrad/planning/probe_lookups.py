"""What the rules of the probes look up: names of files, and other runs that have to be there."""

from collections.abc import Mapping
from pathlib import Path

from embedgrad.planning.run_config import RunNames
from embedgrad_core.files import UserError


class ProbeLookups(RunNames):
    """The names of one run's probes."""

    def probe_files(self, name: str) -> list[str]:
        """What a probe finds of every cell that it looks at, on the first seed."""
        return [f"{folder}/probes/{name}.json" for folder in self._first_seeds(name)]

    def probed_metrics(self, name: str) -> list[str]:
        """The metrics of these cells and seeds."""
        return [f"{folder}/metrics.json" for folder in self._first_seeds(name)]

    def _first_seeds(self, name: str) -> list[str]:
        cells = self.config.probed_cells(name)
        return [self.first_seed(cell.dataset, cell.model) for cell in cells]

    def asked_tasks(self, wildcards: Mapping[str, str]) -> list[str]:
        """Input function: the test items of every task that a model has a cell of."""
        return [f"{self.results}/data/{task}/test.jsonl" for task in self.config.tasks_of(wildcards["model"])]

    def split_files(self, wildcards: Mapping[str, str]) -> list[str]:
        """Input function: what the probe of splits reads of every run: the answers of all seeds, and the split's certificate."""
        cell = self.config.cell(wildcards["dataset"], wildcards["model"])
        return [
            f"results/{run}/{name}"
            for run in self.split_runs
            for name in (
                f"data/{cell.task}/split.json",
                f"{cell.task}/{cell.model}/before.jsonl",
                *(
                    f"{cell.dataset}/{cell.model}/seed{seed}/{name}"
                    for seed in self.config.seeds(cell.task)
                    for name in ("after.jsonl", "metrics.json")
                ),
            )
        ]

    def check_split_runs(self) -> None:
        """Refuse a probe of splits whose other runs are not made yet: no rule here makes them.

        Raises:
            UserError: names the first file that is missing.
        """
        if "variance" not in self.config.values.get("probes", []):
            return
        for cell in self.config.probed_cells("variance"):
            for path in self.split_files(vars(cell)):
                run = Path(path).parts[1]
                if run != self.config.run and not Path(path).is_file():
                    made = f"snakemake all_metrics … --config run={run} 'split={{seed: 1}}'"
                    raise UserError(f"split_runs: {path} is missing; make that run first ({made}).")

    @property
    def split_runs(self) -> list[str]:
        """This run and those with other splits of its data."""
        return [self.config.run, *self.config.values.get("split_runs", [])]

    def probe_tables(self) -> list[str]:
        """The table of each probe; none where the configuration names no probes."""
        return [f"{self.results}/probes/{name}.csv" for name in self.config.values.get("probes", [])]
