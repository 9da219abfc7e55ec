"""What a single split's result is worth: how much of a gain's spread is the items', the split's, the order's, the start's.

A run's interval over items answers one question: what of other items of the same half? It says nothing of another half to
train on, another order of the items or another start (``initial_displacement``). Where several runs of one cell differ in
these, a model of random effects tells them apart::

    gain of an item in a run = mean + item + split + item in split + order in split + displacement in order + rest

The variances are estimated by quadratic forms whose expectations are known, MINQUE(0) (Rao 1971; Searle, Casella and McCulloch
1992, Variance Components, ch. 11): unbiased also where a split's test half holds only some of the items. For a full table they
are those of the analysis of variance.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t

from embedgrad.probes.applies import DoesNotApply, check_size
from embedgrad.reporting.results.agreement import check_protocols
from embedgrad.reporting.results.answers import read_answers
from embedgrad.reporting.results.cells import Cell, seeds_in
from embedgrad.reporting.results.collected import read_metrics
from embedgrad.reporting.statistics import ALPHA, Paired, mcnemar
from embedgrad_core.files import COUNT, UserError, misfit, read_json

# In the order in which they are taken up: where two of them cannot be told apart, the first one has the variance of both.
RUN_FACTORS = ("split", "order", "displacement")
ITEM_FACTORS = ("item", "item in split")
REST = "rest"
DRAWS = 200


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


def variance(runs: Sequence[CellRun], seed: int = 0) -> dict:
    """Components of the gain's variance over runs of one cell, and what one of these runs says by itself.

    Args:
        runs: of one cell; they differ in split, order or displacement.
        seed: of the parametric bootstrap.

    Returns:
        ``runs``, ``items`` (of a run, on average), ``mean`` and ``interval`` (the gain over all, in points);
        ``components``: by factor its ``levels``, ``variance``, ``sd`` in points (0 where the estimate of the variance is
        negative) and its ``interval`` (95 %, parametric bootstrap); ``confounded``: factors that vary with another one only
        and are part of that; ``single``: ``sd`` of the gain that one run finds, ``sd_of_items``, what its items alone make
        of it, and ``ratio``; ``covered``: in how many runs the run's own interval over its items holds the mean of all;
        ``significant``: in how many of them the exact McNemar test finds a gain; ``gains``: of each run.

    Raises:
        DoesNotApply: fewer than two runs that differ, or a run of few items.
    """
    levels = {name: [getattr(run, name) for run in runs] for name in RUN_FACTORS}
    if len(set(zip(*levels.values(), strict=True))) < 2:
        raise DoesNotApply("it takes two runs of the cell that differ in split, order or displacement")
    check_size(min(len(run.verdicts) for run in runs))
    values, factors = _table(runs)
    kept, confounded = identifiable(factors)
    found = components(values, kept)
    ends = _bootstrap(kept, found, seed)
    sizes = {name: _sizes(codes) for name, codes in kept.items()}
    clipped = {name: max(value, 0.0) for name, value in found.items()}
    count, each = len(values), np.mean([len(run.verdicts) for run in runs])
    of_mean = sum(clipped[name] * float((some**2).sum()) / count**2 for name, some in sizes.items())
    half = float(t.ppf(1 - ALPHA / 2, _freedom(kept))) * math.sqrt(of_mean + clipped[REST] / count)
    of_items = (sum(clipped[name] for name in ITEM_FACTORS if name in kept) + clipped[REST]) / each
    single = of_items + sum(clipped[name] for name in RUN_FACTORS if name in kept)
    mean = float(values.mean())
    pairs = [run.pairs for run in runs]
    return {
        "runs": len(runs),
        "items": round(float(each), 1),
        "mean": mean,
        "interval": [mean - half, mean + half],
        "components": {
            name: {
                "levels": len(sizes[name]) if name in sizes else count,
                "variance": found[name],
                "sd": math.sqrt(clipped[name]),
                "interval": ends[name],
            }
            for name in found
        },
        "confounded": confounded,
        "single": {
            "sd": math.sqrt(single),
            "sd_of_items": math.sqrt(of_items),
            "ratio": math.sqrt(single / of_items) if of_items else None,
        },
        "covered": sum(low <= mean <= high for low, high in (one.interval for one in pairs)),
        "significant": sum(one.points > 0 and mcnemar(one.only_before, one.only_after)[0] < ALPHA for one in pairs),
        "gains": [
            {**{name: str(levels[name][place]) for name in RUN_FACTORS}, "n": one.n, "points": one.points}
            for place, one in enumerate(pairs)
        ],
    }


def components(
    values: np.ndarray, factors: Mapping[str, np.ndarray], expected: np.ndarray | None = None
) -> dict[str, float]:
    """MINQUE(0) of the variances of crossed and nested random effects.

    Args:
        values: (N,) outcomes.
        factors: by name the level of each outcome, (N,) whole numbers from 0; as :func:`identifiable` leaves them.
        expected: of these factors, where it is known already.

    Returns:
        The variance of each factor and of the ``rest``, in squared units of ``values``; a negative estimate is kept.
    """
    names = [*factors, REST]
    left = values - values.mean()
    forms = [float((np.bincount(codes, left) ** 2).sum()) for codes in factors.values()] + [float((left**2).sum())]
    solved = np.linalg.solve(_expected(factors) if expected is None else expected, np.array(forms))
    return dict(zip(names, map(float, solved), strict=True))


def identifiable(factors: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The factors whose variances these outcomes can tell apart, taken up in their order; and the names of the others that vary."""
    kept: dict[str, np.ndarray] = {}
    left_out = []
    for name, codes in factors.items():
        if codes.max() == 0:
            continue
        tried = kept | {name: codes}
        matrix = _expected(tried)
        scale = np.sqrt(np.diag(matrix))
        if np.linalg.matrix_rank(matrix / np.outer(scale, scale), tol=1e-9) == len(matrix):
            kept = tried
        else:
            left_out.append(name)
    return kept, left_out


def _expected(factors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Entry (k, l): the part of factor l's variance in the expectation of factor k's form, tr(M V_k M V_l) with M the centring."""
    all_codes = list(factors.values())
    count = len(all_codes[0]) if all_codes else 0
    size = len(all_codes) + 1
    matrix = np.empty((size, size))
    for k, one in enumerate(all_codes):
        own = _sizes(one)
        matrix[k, -1] = matrix[-1, k] = count - float((own**2).sum()) / count
        for column in range(k, len(all_codes)):
            other = all_codes[column]
            rest = _sizes(other)
            # Of the table of both factors' levels, the few cells that are not empty.
            cells, shared = np.unique(one * len(rest) + other, return_counts=True)
            crossing = float((shared * own[cells // len(rest)] * rest[cells % len(rest)]).sum())
            squares = float((own**2).sum()) * float((rest**2).sum()) / count**2
            matrix[k, column] = matrix[column, k] = float((shared**2).sum()) - 2 * crossing / count + squares
    matrix[-1, -1] = count - 1
    return matrix


def _sizes(codes: np.ndarray) -> np.ndarray:
    return np.bincount(codes).astype(float)


def _table(runs: Sequence[CellRun]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The gains in points, one for each run and item, and the level of each factor, nested ones within theirs."""
    values, rows = [], []
    for run in runs:
        for item, (before, after) in run.verdicts.items():
            values.append(100.0 * (after - before))
            order = (run.split, run.order)
            rows.append((item, run.split, order, (*order, run.displacement), (item, run.split)))
    names = ("item", *RUN_FACTORS, "item in split")
    factors = {name: _codes(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    if all(run.displacement is None for run in runs):
        del factors["displacement"]  # no start was displaced: nothing there to be told apart or not
    return np.array(values), factors


def _codes(labels: Sequence[Hashable]) -> np.ndarray:
    known = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return np.array([known[label] for label in labels])


def _freedom(factors: Mapping[str, np.ndarray]) -> int:
    """Degrees of freedom of the mean: those of the coarsest factor of the runs, which is on the safe side."""
    return max(next((int(factors[name].max()) for name in RUN_FACTORS if name in factors), 1), 1)


def _bootstrap(
    factors: Mapping[str, np.ndarray], found: Mapping[str, float], seed: int
) -> dict[str, tuple[float, ...]]:
    """95 % percentile intervals of the standard deviations, over tables drawn from normal effects with the estimated variances."""
    chance = np.random.default_rng(seed)
    count = len(next(iter(factors.values())))
    expected = _expected(factors)
    drawn: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(DRAWS):
        values = chance.normal(0, math.sqrt(max(found[REST], 0.0)), count)
        for name, codes in factors.items():
            values += chance.normal(0, math.sqrt(max(found[name], 0.0)), int(codes.max()) + 1)[codes]
        for name, value in components(values, factors, expected).items():
            drawn[name].append(math.sqrt(max(value, 0.0)))
    return {name: tuple(map(float, np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2]))) for name, values in drawn.items()}
