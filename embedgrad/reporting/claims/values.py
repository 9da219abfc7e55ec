"""The computations behind the claims: each kind of ``config/claims.tsv`` from the paper's table, and from a run's cells."""

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from scipy.stats import norm

from embedgrad.reporting.claims import answers, prompt
from embedgrad.reporting.claims.measured import Measured, Run
from embedgrad.reporting.results.cells import Cell
from embedgrad.reporting.results.collected import Gain
from embedgrad.reporting.statistics import ALPHA, fieller
from embedgrad.reporting.tables import read_table
from embedgrad_core.files import UserError

SIZES = ("0.5b", "1.5b", "3b", "7b", "8b", "14b")


def _gain(cell: Cell | None) -> Decimal | None:
    return Decimal(cell.paper["after"]) - Decimal(cell.paper["before"]) if cell and cell.paper else None


def _table_cell(table: dict, dataset: str, model: str, side: str) -> Decimal | None:
    cell = table.get((dataset, model))
    return Decimal(cell.paper[side]) if cell and cell.paper else None


def _has_cell(table: dict, dataset: str, model: str) -> float:
    return float((dataset, model) in table)


def _table_gain(table: dict, dataset: str, model: str) -> Decimal | None:
    return _gain(table.get((dataset, model)))


def _run_cell(run: Run, dataset: str, model: str, side: str) -> Measured | None:
    metrics = run.metrics.get((dataset, model))
    if metrics is None:
        return None
    low, high = metrics[side]["wilson"]
    untouched = 100 * metrics["before"]["accuracy"] if side == "after" else None
    return Measured(100 * metrics[side]["accuracy"], (100 * low, 100 * high), untouched=untouched)


def _measured_gain(gain: Gain) -> Measured:
    return Measured(gain.points, gain.interval, untouched=0.0)


def _run_gain(run: Run, dataset: str, model: str) -> Measured | None:
    gain = run.gains.get((dataset, model))
    return None if gain is None else _measured_gain(gain)


def _gains(source: "dict | Run") -> dict[tuple[str, str], float]:
    if isinstance(source, Run):
        return {key: gain.points for key, gain in source.gains.items()}
    return {key: float(gain) for key, cell in source.items() if (gain := _gain(cell)) is not None}


def _common(name_at: int, source: "dict | Run", one: str, other: str) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Pairs of cells of two data sets (``name_at`` 0) or models (1), on what both were run with."""
    names: dict[str, list[str]] = defaultdict(list)
    for key in _gains(source):
        names[key[name_at]].append(key[1 - name_at])
    both = [name for name in names[one] if name in names[other]]
    return [((one, name), (other, name)) if name_at == 0 else ((name, one), (name, other)) for name in both]


def _ratio(name_at: int, table: dict, one: str, other: str) -> float | None:
    """Mean gain of one data set or model over another's, on what both were run with."""
    gains, pairs = _gains(table), _common(name_at, table, one, other)
    below = sum(gains[key] for _, key in pairs)
    return sum(gains[key] for key, _ in pairs) / below if pairs and below else None


def _run_ratio(name_at: int, run: Run, one: str, other: str) -> Measured | None:
    """The same of a run, with Fieller's interval (1954, J. R. Stat. Soc. B 16:175-185); the cells count as independent."""
    pairs = _common(name_at, run, one, other)
    if not pairs:
        return None
    above, below = ([run.gains[pair[side]] for pair in pairs] for side in (0, 1))
    a, b = (sum(gain.points for gain in gains) for gains in (above, below))
    if not b:
        return None
    v, w = (sum(_variance(gain) for gain in gains) for gains in (above, below))
    interval = fieller(a, v, b, w)
    gate = "" if interval else f"the mean gain of {other} cannot be told from 0, so no ratio to it is bounded"
    return Measured(a / b, interval, gate=gate)


def _variance(gain: Gain) -> float:
    """In squared points, from the width of its interval."""
    low, high = gain.interval
    return ((high - low) / 2 / float(norm.ppf(1 - ALPHA / 2))) ** 2


def _steps_down(source: "dict | Run") -> list[bool]:
    """Neighbouring sizes, within a data set and the Qwen family: whether the larger model gains less."""
    by_dataset: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for (dataset, model), gain in _gains(source).items():
        size = next((place for place, name in enumerate(SIZES) if f"-{name}" in model), None)
        if size is not None and model.startswith("qwen"):
            by_dataset[dataset].append((size, gain))
    return [b[1] < a[1] for rows in by_dataset.values() for a, b in pairwise(sorted(rows))]


def _falls_with_scale(table: dict) -> float | None:
    steps = _steps_down(table)
    return sum(steps) / len(steps) if steps else None


def _run_falls_with_scale(run: Run) -> Measured | None:
    steps = _steps_down(run)
    return Measured.share(sum(steps), len(steps))


def _extreme_gain(pick: Callable, datasets: tuple[str, ...], table: dict) -> float | None:
    return pick((gain for (name, _), gain in _gains(table).items() if not datasets or name in datasets), default=None)


def _run_extreme_gain(pick: Callable, datasets: tuple[str, ...], run: Run) -> Measured | None:
    gains = [gain for (name, _), gain in run.gains.items() if not datasets or name in datasets]
    return _measured_gain(pick(gains, key=lambda gain: gain.points)) if gains else None


_SENTIMENT = ("imdb", "medd")
_largest = partial(_extreme_gain, max, _SENTIMENT), partial(_run_extreme_gain, max, _SENTIMENT)
_least = partial(_extreme_gain, min, ()), partial(_run_extreme_gain, min, ())


def _epochs(run: Run, key: str) -> list[dict]:
    found = [metrics["prompt"] for metrics in run.metrics.values()]
    return [one for one in found if one.get("best_epoch") is not None and one.get(key) is not None]


def _best_epochs(run: Run, low: str, high: str) -> Measured | None:
    """Share of cells whose best epoch on dev lies between two bounds, of those trained for long enough to tell."""
    cells = _epochs(run, "best_epoch")
    told = [one for one in cells if _settled(one, int(high))]
    if cells and not told:
        return Measured(None, gate=f"no cell was allowed {high} epochs")
    hits, left = sum(int(low) <= one["best_epoch"] <= int(high) for one in told), len(cells) - len(told)
    control = f"left out: {left} of {len(cells)} cells, which were not allowed {high} epochs"
    return Measured.share(hits, len(told), control=control if left else "")


def _settled(one: dict, high: int) -> bool:
    """Whether so many epochs were allowed. Of cells with fewer, those that can tell are the ones that were at their best early."""
    settings = one.get("settings")
    most = settings.get("epochs") if isinstance(settings, dict) else None
    return not isinstance(most, int) or most >= high  # earlier versions do not say


def _best_within(run: Run, most: str) -> Measured | None:
    """Share of the cells trained longer whose best epoch on dev is not beyond a bound; else of the sweep's, at their best rate."""
    cells = _epochs(run, "epochs_run")
    longer = [one["best_epoch"] for one in cells if one["epochs_run"] > int(most)]
    longer = longer or [row.best_epoch for row in _swept(run) if row.is_best and row.best_epoch is not None]
    if cells and not longer:
        return Measured(
            None, gate=f"no cell was trained for more than {most} epochs; config/sensitivity.yaml trains to 20"
        )
    return Measured.share(sum(epoch <= int(most) for epoch in longer), len(longer))


class _Swept(NamedTuple):
    """One learning rate of a cell in the sweep; ``wins`` is how often it is the best over resampled dev items."""

    cell: tuple[str, str]
    rate: float
    best_epoch: int | None
    is_best: bool
    wins: float


def _swept(run: Run) -> list[_Swept]:
    """The table of the sweep; empty where there is none."""
    path = run.folder / "sensitivity.csv"
    if not path.exists():
        return []
    header, lines = read_table(path)
    try:
        rows = [dict(zip(header, line, strict=True)) for line in lines]
        return [
            _Swept(
                (row["dataset"], row["model"]),
                float(row["learning_rate"]),
                int(row["best_epoch"]) if row.get("best_epoch") else None,
                row["best_rate"] == "True",
                float(row.get("wins_resampled") or "nan"),
            )
            for row in rows
        ]
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: not a table of a sweep ({error}); delete it and run again.") from None


def _best_rate(run: Run, dataset: str, model: str) -> Measured | None:
    """The learning rate of lowest dev loss in the sweep, with half a decade to either side as "approximately"."""
    mine = [row for row in _swept(run) if row.cell == (dataset, model)]
    best = [row.rate for row in mine if row.is_best]
    wins = {f"{row.rate:g}": row.wins for row in mine}
    if not best:
        return None
    told = ", ".join(f"{rate} in {100 * share:.0f} %" for rate, share in wins.items() if share > 0)
    control = (
        f"best over resampled dev items: {told}" if told else "no interval: the losses of the dev items were not kept"
    )
    return Measured(best[0], tolerance=(best[0] / 10**0.5, best[0] * 10**0.5), control=control)


_RUN_ONLY = "The paper's table says nothing to this; a run does."
# kind → from the paper's table, from a run, note.
KINDS: dict[str, tuple[Callable | None, Callable | None, str]] = {
    "setting": (None, None, "A setting, not a result; docs/protocol.md has ours."),
    "has_cell": (_has_cell, None, "Whether Table 2 has such a row."),
    "cell": (_table_cell, _run_cell, ""),
    "gain": (_table_gain, _run_gain, "After minus before."),
    "gain_ratio_models": (partial(_ratio, 1), partial(_run_ratio, 1), "Ratio of mean gains over the data sets that both have."),
    "gain_ratio_datasets": (partial(_ratio, 0), partial(_run_ratio, 0), "Ratio of mean gains over the models that both have."),
    "falls_with_scale": (_falls_with_scale, _run_falls_with_scale, "Share of neighbouring sizes where the larger gains less."),
    "largest_gain": (*_largest, "Largest gain on IMDB or MEDD: picked for being the largest, so its interval is too kind."),
    "least_gain": (*_least, "Smallest gain of all cells: picked for being the smallest, so its interval is too hard."),
    "entropy": (None, answers.entropy, f"Answers that do not loop. {_RUN_ONLY}"),
    "loop_entropy": (None, answers.loop_entropy, _RUN_ONLY),
    "loops_of_failures": (None, answers.loops_of_failures, _RUN_ONLY),
    "loops_left": (None, answers.loops_left, f"\"Nearly\" read as below 5 % of answers. {_RUN_ONLY}"),
    "gain_over_entropy": (None, answers.gain_over_entropy, f"Pearson's r over tasks and models. {_RUN_ONLY}"),
    "best_epochs": (None, _best_epochs, f"Share of cells. {_RUN_ONLY}"),
    "best_within": (None, _best_within, f"Share of the cells trained longer. {_RUN_ONLY}"),
    "anchoring_p": (None, prompt.smallest_p, f"The smallest over positions and cells. {_RUN_ONLY}"),
    "anchoring_cosine": (None, prompt.similarity, f"Mean over positions. {_RUN_ONLY}"),
    "anchoring_same": (None, prompt.words_kept, f"Share of positions. {_RUN_ONLY}"),
    "lat_all_layers": (None, prompt.smallest_activation, f"The smallest over layers and cells of sentiment tasks. {_RUN_ONLY}"),
    "lat_first_layer": (None, prompt.first_layer, f"Share of cells of sentiment tasks. {_RUN_ONLY}"),
    "sensitivity": (None, _best_rate, "Best on dev in a sweep (config/sensitivity.yaml); holds within half a decade."),
}  # fmt: skip
