"""Files of a run's carried prompts, as the workflow's rules name them."""

from collections.abc import Mapping
from dataclasses import dataclass

from embedgrad.planning.run_config import RunConfig


@dataclass(frozen=True)
class CarryLookups:
    """The part of a run's names that the key ``carry`` brings.

    Attributes:
        config: the run's checked configuration.
    """

    config: RunConfig

    @property
    def results(self) -> str:
        """Folder of the run's results."""
        return f"results/{self.config.run}"

    def optimised(self, dataset: str, model: str) -> str:
        """The optimised prompt of a cell, of its first seed."""
        seed = self.config.seeds(self.config.datasets[dataset])[0]
        return f"{self.results}/{dataset}/{model}/seed{seed}/prompt.safetensors"

    def own_prompt(self, wildcards: Mapping[str, str]) -> str:
        """Input function: the prompt that was optimised for a job's model."""
        return self.optimised(wildcards["dataset"], wildcards["model"])

    def source_prompt(self, wildcards: Mapping[str, str]) -> str:
        """Input function: the prompt that is carried over to it."""
        return self.optimised(wildcards["dataset"], wildcards["source"])

    def source_folder(self, wildcards: Mapping[str, str]) -> list[str]:
        """Input function: the folder of the other model, where the workflow makes it."""
        model = wildcards["source"]
        return [f"{self.results}/models/{model}"] if "pretrain" in self.config.values["models"][model] else []

    def transfers(self) -> list[str]:
        """The report of each pair of cells."""
        return [
            f"{self.results}/carry/{target.dataset}/{target.model}/from/{source.model}/transfer.json"
            for source, target in self.config.carry
        ]

    def words(self) -> list[str]:
        """The report on the words for each cell's prompt."""
        return [f"{self.results}/carry/{cell.dataset}/{cell.model}/words.json" for cell in self.config.worded]

    def carry_tables(self) -> list[str]:
        """The tables of both; none where the configuration has no ``carry``."""
        names = [name for name, files in (("transfer", self.transfers()), ("words", self.words())) if files]
        return [f"{self.results}/carry/{name}.csv" for name in names]
