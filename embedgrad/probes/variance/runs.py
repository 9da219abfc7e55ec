"""The runs of one cell that differ in split, order or start, as their files have them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedgrad.reporting.results.agreement import check_protocols
from embedgrad.reporting.results.answers import read_answers
from embedgrad.reporting.results.cells import Cell, seeds_in
from embedgrad.reporting.results.collected import read_metrics
from embedgrad.reporting.statistics import Paired
from embedgrad_core.files import COUNT, UserError, misfit, read_json


@dataclass(frozen=True)
class CellRun:
    """One run of a cell: which it was, and the verdicts on its test items.

    Attributes:
        split: which half was the test half (a seed).
        order: of the training items (a seed).
        displacement: of the start (a seed); None for all runs where they start from the text itself.
        verdicts: by item id: whether the text prompt's answer was right, and the optimised prompt's.
    """

    split: Hashable
    order: Hashable
    displacement: Hashable
    verdicts: Mapping[str, tuple[bool, bool]]

    @property
    def pairs(self) -> Paired:
        """The run by itself."""
        return Paired.of(*zip(*self.verdicts.values(), strict=True))


def cell_runs(cell: Cell, folders: Sequence[Path]) -> list[CellRun]:
    """Every seed of a cell in every one of some results folders, which differ in the split or in the displacement of the start.

    Raises:
        UserError: a folder without the cell, two folders of one split and one displacement, files that cannot be read, or runs that
            differ in more than split, order and displacement.
    """
    runs: list[CellRun] = []
    where: dict[Hashable, Path] = {}
    lengths: dict[float, Path] = {}
    found = []
    for folder in folders:
        certificate = folder / "data" / cell.task / "split.json"
        split = read_json(certificate)
        if misfit(split, {"split": {"seed": int}}):
            raise UserError(f"{certificate}: key split.seed is missing; prepare the task again.")
        seed = split["split"]["seed"]
        home = folder / cell.dataset / cell.model
        orders = [(order, home / f"seed{order}" / "metrics.json") for order in seeds_in(home, None, cell.task)]
        mine: set[Hashable] = set()
        ended = [(order, path) for order, path in orders if path.exists()]
        if not ended:
            raise UserError(f"{home}: no metrics.json of any seed; run this cell, or leave out {folder}.")
        for order, path in ended:
            metrics = read_metrics(path, cell, order)
            length, displacement = _start(metrics, path)
            if len(lengths | {length: path}) > 1:
                raise UserError(
                    f"{path}: starts {length} of an embedding's length from the text, and {next(iter(lengths.values()))} "
                    f"{next(iter(lengths))}; give runs of one optimize.initial_displacement."
                )
            lengths[length] = path
            mine.add((seed, displacement))
            if (seed, displacement) in where:
                also = "" if displacement is None else f" and optimize.displacement_seed {displacement}"
                raise UserError(
                    f"{folder}: has split.seed {seed}{also}, as {where[seed, displacement]} has; give runs that differ in one."
                )
            found.append((metrics, path))
            answers = read_answers(cell, metrics, folder)
            pairs = zip(answers["before"], answers["after"], strict=True)
            verdicts = {before["id"]: (before["correct"], after["correct"]) for before, after in pairs}
            runs.append(CellRun(seed, order, displacement, verdicts))
        where |= dict.fromkeys(mine, folder)
    check_protocols(found)
    return runs


def _start(metrics: Mapping, path: Path) -> tuple[float, int | None]:
    """How far from the text a run started, relative to an embedding's length, and the seed of that; of the text itself, none.

    Raises:
        UserError: the metrics, read at ``path``, hold something else there.
    """
    known = metrics["prompt"].get("settings")  # earlier versions started from the text alone
    settings: dict = {"initial_displacement": 0.0, "displacement_seed": 0} | (known if isinstance(known, dict) else {})
    if wrong := misfit(settings, {"initial_displacement": float, "displacement_seed": COUNT}):
        raise UserError(f"{path}: key 'prompt.settings.{wrong}' is of the wrong kind; make this cell's metrics again.")
    length = settings["initial_displacement"]
    return length, settings["displacement_seed"] if length else None
