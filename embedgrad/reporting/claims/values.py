"""The computations behind the claims: each kind of ``config/claims.tsv`` from the paper's table, and from a run's cells."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path

from embedgrad.reporting.results.analyses import read_anchoring, read_lat, read_positions
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.collected import Outcome, analyses_of
from embedgrad.reporting.tables import read_table
from embedgrad_core.files import UserError

HOLDS, FAILS, OPEN = "holds", "does not hold", "–"
SIZES = ("0.5b", "1.5b", "3b", "7b", "8b", "14b")


@dataclass(frozen=True)
class Run:
    """A run's first metrics of each cell, and where its analyses lie."""

    metrics: dict[tuple[str, str], dict]
    outcomes: Sequence[Outcome]
    folder: Path

    def analyses(self, name: str, read: Callable[[Path], dict]) -> list[dict]:
        """All files of an analysis, which must be of their cells' runs."""
        return [analysis for *_, analysis in analyses_of(self.outcomes, self.folder, name, read)]


def _gain(cell: Cell | None) -> Decimal | None:
    return Decimal(cell.paper["after"]) - Decimal(cell.paper["before"]) if cell and cell.paper else None


def _table_cell(table: dict, dataset: str, model: str, side: str) -> Decimal | None:
    cell = table.get((dataset, model))
    return Decimal(cell.paper[side]) if cell and cell.paper else None


def _has_cell(table: dict, dataset: str, model: str) -> float:
    return float((dataset, model) in table)


def _table_gain(table: dict, dataset: str, model: str) -> Decimal | None:
    return _gain(table.get((dataset, model)))


def _run_cell(run: Run, dataset: str, model: str, side: str) -> tuple | None:
    metrics = run.metrics.get((dataset, model))
    if metrics is None:
        return None
    low, high = metrics[side]["wilson"]
    return 100 * metrics[side]["accuracy"], (100 * low, 100 * high)


def _run_gain(run: Run, dataset: str, model: str) -> tuple | None:
    metrics = run.metrics.get((dataset, model))
    return None if metrics is None else (metrics["delta"]["points"], tuple(metrics["delta"]["newcombe"]))


def _gains(source: "dict | Run") -> dict[tuple[str, str], float]:
    if isinstance(source, Run):
        return {key: metrics["delta"]["points"] for key, metrics in source.metrics.items()}
    return {key: float(gain) for key, cell in source.items() if (gain := _gain(cell)) is not None}


def _ratio(name_at: int, source: "dict | Run", one: str, other: str) -> float | None:
    """Mean gain of one data set (``name_at`` 0) or model (1) over another's, on what both were run with."""
    gains: dict[str, dict[str, float]] = defaultdict(dict)
    for key, gain in _gains(source).items():
        gains[key[name_at]][key[1 - name_at]] = gain
    both = [key for key in gains[one] if key in gains[other]]
    below = sum(gains[other][key] for key in both)
    return sum(gains[one][key] for key in both) / below if both and below else None


_ratio_of_datasets, _ratio_of_models = partial(_ratio, 0), partial(_ratio, 1)


def _falls_with_scale(source: "dict | Run") -> float | None:
    """Share of neighbouring sizes, within a data set and the Qwen family, where the larger model gains less."""
    by_dataset: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for (dataset, model), gain in _gains(source).items():
        size = next((place for place, name in enumerate(SIZES) if f"-{name}" in model), None)
        if size is not None and model.startswith("qwen"):
            by_dataset[dataset].append((size, gain))
    steps = [b[1] < a[1] for rows in by_dataset.values() for a, b in pairwise(sorted(rows))]
    return sum(steps) / len(steps) if steps else None


def _largest_sentiment_gain(source: "dict | Run") -> float | None:
    return max((gain for (dataset, _), gain in _gains(source).items() if dataset in ("imdb", "medd")), default=None)


def _entropy(run: Run, dataset: str, model: str, side: str) -> float | None:
    metrics = run.metrics.get((dataset, model))
    return metrics[side]["entropy_bits"]["mean_without_loops"] if metrics else None


def _loop_entropy(run: Run, dataset: str) -> float | None:
    """Mean entropy of looping answers before optimisation, over the models of a data set."""
    total = count = 0.0
    for (name, _), metrics in run.metrics.items():
        entropy, n = metrics["before"]["entropy_bits"], metrics["n"]
        loops = n - entropy["n_without_loops"]
        if name == dataset and loops and entropy["mean"] is not None:
            total += n * entropy["mean"] - entropy["n_without_loops"] * (entropy["mean_without_loops"] or 0)
            count += loops
    return total / count if count else None


def _loops_of_failures(run: Run, dataset: str, model: str) -> float | None:
    metrics = run.metrics.get((dataset, model))
    if metrics is None:
        return None
    failures = metrics["before"]["failures"]
    failed = sum(count for name, count in failures.items() if name != "none")
    return failures["loop"] / failed if failed else None


def _best_epochs(run: Run, low: str, high: str) -> float | None:
    """Share of cells whose best epoch on dev lies between two bounds."""
    best = [metrics["prompt"].get("best_epoch") for metrics in run.metrics.values()]
    best = [epoch for epoch in best if epoch is not None]
    return sum(int(low) <= epoch <= int(high) for epoch in best) / len(best) if best else None


def _anchoring_p(run: Run) -> float | None:
    """The smallest probability of an original token after optimisation, softmax(v·Eᵀ)."""
    analyses = run.analyses("anchoring.json", read_positions)
    return min((row["after"]["softmax"]["p"] for one in analyses for row in one["positions"]), default=None)


def _anchoring_same(run: Run) -> float | None:
    """Share of positions whose cosine-nearest token is still the original one."""
    rows = [analysis["summary"] for analysis in run.analyses("anchoring.json", read_anchoring)]
    positions = sum(row["positions"] for row in rows)
    return sum(row["nearest_token_unchanged"] for row in rows) / positions if positions else None


def _lat_deltas(run: Run) -> list[list[float]]:
    return [
        [row["readings"]["prompt_mean"]["delta"] for row in analysis["layers"]]
        for analysis in run.analyses("lat.json", read_lat)
    ]


def _lat_all_layers(run: Run) -> float | None:
    """The smallest change of activation over layers and cells."""
    return min((min(deltas) for deltas in _lat_deltas(run)), default=None)


def _lat_first_layer(run: Run) -> float | None:
    """Share of cells whose largest change is at the first layer (embeddings or first block)."""
    rows = _lat_deltas(run)
    return sum(deltas.index(max(deltas)) <= 1 for deltas in rows) / len(rows) if rows else None


def _best_rate(run: Run, dataset: str, model: str) -> tuple | None:
    """The learning rate of lowest dev loss in the sweep, with half a decade to either side as "approximately"."""
    path = run.folder / "sensitivity.csv"
    if not path.exists():
        return None
    header, lines = read_table(path)
    try:
        rows = [dict(zip(header, line, strict=True)) for line in lines]
        mine = [row for row in rows if (row["dataset"], row["model"]) == (dataset, model)]
        best = [float(row["learning_rate"]) for row in mine if row["best_rate"] == "True"]
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: not a table of a sweep ({error}); delete it and run again.") from None
    return (best[0], (best[0] / 10**0.5, best[0] * 10**0.5)) if best else None


_RUN_ONLY = "The paper's table says nothing to this; a run does."
# kind → from the paper's table, from a run, note.
KINDS: dict[str, tuple[Callable | None, Callable | None, str]] = {
    "setting": (None, None, "A setting, not a result; docs/protocol.md has ours."),
    "has_cell": (_has_cell, None, "Whether Table 2 has such a row."),
    "cell": (_table_cell, _run_cell, ""),
    "gain": (_table_gain, _run_gain, "After minus before."),
    "gain_ratio_models": (_ratio_of_models, _ratio_of_models, "Ratio of mean gains over the data sets that both have."),
    "gain_ratio_datasets": (_ratio_of_datasets, _ratio_of_datasets, "Ratio of mean gains over the models that both have."),
    "falls_with_scale": (_falls_with_scale, _falls_with_scale, "Share of neighbouring sizes where the larger gains less."),
    "largest_gain": (_largest_sentiment_gain, _largest_sentiment_gain, "Largest gain on IMDB or MEDD."),
    "entropy": (None, _entropy, f"Answers that do not loop. {_RUN_ONLY}"),
    "loop_entropy": (None, _loop_entropy, _RUN_ONLY),
    "loops_of_failures": (None, _loops_of_failures, _RUN_ONLY),
    "best_epochs": (None, _best_epochs, f"Share of cells. {_RUN_ONLY}"),
    "anchoring_p": (None, _anchoring_p, f"The smallest over positions and cells. {_RUN_ONLY}"),
    "anchoring_same": (None, _anchoring_same, f"Share of positions. {_RUN_ONLY}"),
    "lat_all_layers": (None, _lat_all_layers, f"The smallest over layers and cells. {_RUN_ONLY}"),
    "lat_first_layer": (None, _lat_first_layer, f"Share of cells. {_RUN_ONLY}"),
    "sensitivity": (None, _best_rate, "Best on dev in a sweep (config/sensitivity.yaml); holds within half a decade."),
}  # fmt: skip
