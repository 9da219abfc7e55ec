"""Files of a run's carried prompts, as the workflow's rules name them."""

from collections.abc import Mapping

from embedgrad.planning.run_config import RunNames


class CarryLookups(RunNames):
    """The part of a run's names that the key ``carry`` brings."""

    def own_prompt(self, wildcards: Mapping[str, str]) -> str:
        """Input function: the prompt that was optimised for a job's model."""
        return f"{self.first_seed(wildcards['dataset'], wildcards['model'])}/prompt.safetensors"

    def source_prompt(self, wildcards: Mapping[str, str]) -> str:
        """Input function: the prompt that is carried over to it."""
        return f"{self.first_seed(wildcards['dataset'], wildcards['source'])}/prompt.safetensors"

    def source_folder(self, wildcards: Mapping[str, str]) -> list[str]:
        """Input function: the folder of the other model, where the workflow makes it."""
        return self.made_model(wildcards["source"])

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
