"""What a run has so far: the metrics of every cell of a table, or why they are missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from embedgrad.files import FAILURES
from embedgrad.reporting.results.agreement import check_agreement, check_analyses
from embedgrad.reporting.results.cells import Cell, Seeds, seeds_in
from embedgrad.reporting.results.pooled import pooled_gain
from embedgrad.reporting.statistics import Crossed
from embedgrad_core.files import COUNT, UserError, misfit, read_json

_ENTROPY = {"mean": (float,), "mean_without_loops": (float,), "n_without_loops": int}
_SIDE = {
    "correct": int,
    "accuracy": float,
    "wilson": list,
    "failures": dict.fromkeys(FAILURES, int),
    "strict_correct": (int,),
    "entropy_bits": _ENTROPY,
    "mean_tokens": (float,),
}
# The keys that the table and the figures read, with their types; a type in brackets may be null.
_SHAPE = {
    "cell": {"dataset": str, "task": str, "model": str, "seed": int},
    "n": int,
    "before": _SIDE,
    "after": _SIDE,
    "delta": {"points": float, "newcombe": list},
    "mcnemar": {"only_before": int, "only_after": int, "p_exact": float, "p_mid": float},
    "gain": {"became_extractable": int, "became_right": int, "lost_extractable": int, "lost_right": int, "net": int},
    "verdict": {"word": (str,), "reason": str},
    "prompt": dict,
    "training": (dict,),
    "split": {"sha256": (str,)},
    "run": dict,
}
NOT_RUN = "not run yet"
UNUSUAL = ("sentence", "own_chain")  # what label tasks may be trained on in place of the label


@dataclass(frozen=True)
class Gain:
    """After minus before in percentage points, its 95 % interval, and p of no gain."""

    points: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True)
class Outcome:
    """One line of the table: the cell and the metrics of its seeds, in the order of the seeds.

    ``missing`` says, seed by seed, why there are no metrics; a cell without any metrics has ``metrics == ()``. ``folder`` is
    ``results/<run>``, where the answers lie.
    """

    cell: Cell
    metrics: tuple[dict, ...]
    missing: dict[int, str]
    folder: Path | None = None

    @cached_property
    def pooled(self) -> Crossed | None:
        """The gain over several seeds; read from their answers when it is first asked for, which most figures never do."""
        return pooled_gain(self.cell, self.metrics, self.folder) if self.folder else None

    @property
    def gain(self) -> Gain | None:
        """The cell's gain as it is shown everywhere: of several seeds by the mixed model, of one by Newcombe and McNemar."""
        if not self.metrics:
            return None
        if self.pooled:
            return Gain(self.pooled.mean, self.pooled.interval, self.pooled.p)
        first = self.metrics[0]
        low, high = first["delta"]["newcombe"]
        return Gain(first["delta"]["points"], (low, high), first["mcnemar"]["p_exact"])

    def homes(self, folder: str | Path) -> list[tuple[dict, Path]]:
        """The metrics of each seed, and where the other files of that seed lie in ``results/<run>``."""
        home = Path(folder) / self.cell.dataset / self.cell.model
        return [(metrics, home / f"seed{metrics['cell']['seed']}") for metrics in self.metrics]

    @property
    def reason(self) -> str:
        """Why the cell is missing, the reasons of its seeds joined."""
        return ", ".join(dict.fromkeys(self.missing.values())) or NOT_RUN


def collect(cells: Sequence[Cell], folder: str | Path, seeds: Seeds | Sequence[int] | None = None) -> list[Outcome]:
    """Read ``<folder>/<dataset>/<model>/seed<k>/metrics.json`` for every cell; where there is none, ``skipped.json``.

    Args:
        cells: the lines of the table.
        folder: ``results/<run>``.
        seeds: the run's seeds; None takes the folders that are there.

    Raises:
        UserError: metrics that are cut short, lack a key, are of another cell or table, or do not agree with the others on split,
            model revision or protocol.
    """
    folder, outcomes, where = Path(folder), [], {}
    for cell in cells:
        home = folder / cell.dataset / cell.model
        found, missing = [], {}
        for seed in seeds_in(home, seeds, cell.task):
            path = home / f"seed{seed}" / "metrics.json"
            if path.exists():
                metrics = read_metrics(path, cell, seed)
                where[id(metrics)] = path
                found.append(metrics)
            else:
                missing[seed] = _why(path.with_name("skipped.json"))
        outcomes.append(Outcome(cell, tuple(found), missing, folder))
    check_agreement([(metrics, where[id(metrics)]) for outcome in outcomes for metrics in outcome.metrics], folder)
    return outcomes


def whole_tasks(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those of them that are no level of a task whose own cell is among them, too: each answer counts once."""
    whole = {(o.cell.task, o.cell.model) for o in outcomes if o.cell.level is None}
    return [o for o in outcomes if o.cell.level is None or (o.cell.task, o.cell.model) not in whole]


def analyses_of(
    outcomes: Sequence[Outcome], folder: str | Path, name: str, read: Callable[[Path], dict]
) -> list[tuple[Outcome, dict, dict]]:
    """The files ``name`` that lie beside the metrics: cell, metrics, and the analysis as ``read`` gives it.

    Raises:
        UserError: an unreadable file, or analyses of another model, prompt or data than the cells'; names the files.
    """
    paths = [(outcome, metrics, home / name) for outcome in outcomes for metrics, home in outcome.homes(folder)]
    found = [(outcome, metrics, read(path), path) for outcome, metrics, path in paths if path.exists()]
    check_analyses([(analysis, metrics, path) for _, metrics, analysis, path in found])
    return [(outcome, metrics, analysis) for outcome, metrics, analysis, _ in found]


def read_metrics(path: str | Path, cell: Cell, seed: int) -> dict:
    """Read one ``metrics.json`` and check that it is whole and of this cell and seed.

    Raises:
        UserError: it is not; the message names the file and what is wrong.
    """
    metrics = read_json(path)
    wrong = misfit(metrics, _SHAPE) or misfit(metrics["prompt"].get("best_epoch"), (COUNT,), "prompt.best_epoch")
    if wrong:
        raise UserError(f"{path}: key {wrong} is missing or of the wrong kind; delete the file and make it again.")
    if bad := next(
        (name for name, run in metrics["run"].items() if run is not None and not isinstance(run, dict)), None
    ):
        raise UserError(f"{path}: key run.{bad} is of the wrong kind; delete the file and make it again.")
    stored = metrics["cell"]
    for key, expected in (("dataset", cell.dataset), ("task", cell.task), ("model", cell.model), ("seed", seed)):
        if stored[key] != expected:
            raise UserError(
                f"{path}: these are metrics of {key} {stored[key]!r}, not {expected!r}; delete it and make it again."
            )
    if metrics.get("paper") != cell.paper:
        raise UserError(
            f"{path}: made with other published numbers ({metrics.get('paper')}) than the table of cells has now "
            f"({cell.paper}); delete the file and make it again."
        )
    return metrics


def weights_notes(outcomes: Sequence[Outcome]) -> list[str]:
    """What a reader of a table must know of its cells, a line each.

    Models whose weights were quantised before, as their runs say: they are not the hub's of that name. Tasks that were trained on a
    sentence or on chains of thought: others' cells were on labels.
    """
    found = {}
    for outcome in outcomes:
        for metrics in outcome.metrics:
            target = metrics["split"].get("target")
            if target in UNUSUAL:
                found[outcome.cell.task] = (
                    f"{outcome.cell.task}: trained on targets of kind {target}, not on the label alone."
                )
            model = (metrics["run"].get("after") or {}).get("model") or {}
            quantised, resolved = model.get("dequantised_from"), model.get("resolved")
            if isinstance(quantised, str) and isinstance(resolved, str):
                found[outcome.cell.model] = (
                    f"{outcome.cell.model}: weights dequantised from {quantised} ({resolved[:15]}…)."
                )
    return list(found.values())


def _why(marker: Path) -> str:
    if not marker.exists():
        return NOT_RUN
    skipped = read_json(marker)
    if not isinstance(skipped, dict) or not isinstance(skipped.get("reason"), str):
        raise UserError(f"{marker}: needs a key 'reason' with text; fix or delete the file.")
    return skipped["reason"]
