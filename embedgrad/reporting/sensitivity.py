"""Section 5.4: dev loss and accuracy over learning rate × epochs, and what is best for each cell."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from embedgrad.reporting.figures.drawing import BEFORE, styled
from embedgrad.reporting.results.history import check_epochs, read_history
from embedgrad_core.files import UserError


@dataclass(frozen=True)
class Curve:
    """One learning rate of a cell: dev loss (nats per item) and accuracy by epoch; epoch 0 is the text prompt."""

    dataset: str
    model: str
    rate: float
    losses: tuple[float | None, ...]
    accuracies: tuple[float | None, ...]
    items: tuple[list[float] | None, ...] = ()  # the losses of each dev item, by epoch, where they were kept


def read_curves(paths: Sequence[str | Path], folder: str | Path, epochs: int | None = None) -> list[Curve]:
    """Histories at ``<folder>/<dataset>/<model>/lr<rate>/optimize.jsonl``.

    ``epochs``: how many the sweep runs; a history that neither has them nor says why it stopped was cut short.

    Raises:
        UserError: an unreadable history, one that was cut short, or one at another place; names the file.
    """
    curves = []
    for path in map(Path, paths):
        try:
            dataset, model, rate, _ = path.relative_to(folder).parts
            value = float(rate.removeprefix("lr"))
        except ValueError:
            raise UserError(f"{path}: not at {folder}/<dataset>/<model>/lr<rate>/optimize.jsonl.") from None
        rows = read_history(path)
        if not rows:
            raise UserError(f"{path}: empty; delete it and run again.")
        if not rows[-1].get("stopped"):
            check_epochs(rows, epochs, path)
        columns = [tuple(row.get(key) for row in rows) for key in ("dev_loss", "dev_accuracy", "dev_losses")]
        curves.append(Curve(dataset, model, value, *columns))
    return sorted(curves, key=lambda curve: (curve.dataset, curve.model, curve.rate))


def table(curves: Sequence[Curve]) -> list[dict]:
    """One line per learning rate: its best epoch by dev loss, and whether it is the cell's best rate."""
    best: dict[tuple[str, str], float] = {}
    for curve in curves:
        key = (curve.dataset, curve.model)
        best[key] = min(best.get(key, math.inf), min(_finite(curve.losses), default=math.inf))
    shares = {key: _wins([curve for curve in curves if (curve.dataset, curve.model) == key]) for key in best}
    rows = []
    for curve in curves:
        lowest, last = min(_finite(curve.losses), default=math.inf), curve.losses[-1]
        epoch = curve.losses.index(lowest) if math.isfinite(lowest) else None
        rows.append(
            {
                "dataset": curve.dataset,
                "model": curve.model,
                "learning_rate": curve.rate,
                "best_epoch": epoch,
                "dev_loss": round(lowest, 4) if epoch is not None else None,
                "dev_accuracy": curve.accuracies[epoch] if epoch is not None else None,
                "last_dev_loss": None if last is None else round(last, 4),
                "best_rate": lowest == best[curve.dataset, curve.model],
                "wins_resampled": shares[curve.dataset, curve.model].get(curve.rate),
                "epochs_5_to_10": epoch is not None and 5 <= epoch <= 10,
            }
        )
    return rows


def _wins(curves: Sequence[Curve], draws: int = 2000, seed: int = 0) -> dict[float, float]:
    """How often each rate of a cell has the lowest dev loss over resampled dev items, its epoch chosen anew each time.

    Nothing where a history does not have the losses of the items, as those before 2026-11-27 do not.
    """
    kept = [[items for loss, items in zip(c.losses, c.items, strict=False) if loss is not None] for c in curves]
    sizes = {len(items or ()) for epochs in kept for items in epochs}
    if len(sizes) != 1 or not (n := sizes.pop()) or not all(kept):
        return {}
    drawn = np.random.default_rng(seed).multinomial(n, [1 / n] * n, size=draws)
    lowest = np.stack([(drawn @ np.array(epochs).T).min(axis=1) for epochs in kept])
    winners = np.bincount(lowest.argmin(axis=0), minlength=len(curves)) / draws
    return {curve.rate: round(float(share), 4) for curve, share in zip(curves, winners, strict=True)}


def _finite(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


@styled()
def heat_map(curves: Sequence[Curve]) -> Figure:
    """Dev loss by learning rate (down) and epoch (across), a panel per cell; the accuracy is written in, the best is framed."""
    cells = list(dict.fromkeys((curve.dataset, curve.model) for curve in curves))
    width = max((len(curve.losses) for curve in curves), default=1)
    most = max((sum((c.dataset, c.model) == cell for c in curves) for cell in cells), default=1)
    figure = Figure(figsize=(1.6 + 0.45 * width, 0.5 + len(cells) * (0.7 + 0.34 * max(most, 2))), layout="constrained")
    grid = figure.subplots(max(len(cells), 1), 1, squeeze=False)[:, 0]
    box = {"boxstyle": "round,pad=0.1", "facecolor": "#00000088", "linewidth": 0}
    number: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6.5, "color": "white", "bbox": box}
    for axes, cell in zip(grid, cells, strict=False):
        mine = [curve for curve in curves if (curve.dataset, curve.model) == cell]
        # A curve that stopped early (not finite) leaves the rest of its line empty.
        values = [[math.nan if v is None else v for v in c.losses] + [math.nan] * (width - len(c.losses)) for c in mine]
        image = axes.imshow(values, aspect="auto", cmap="cividis_r")
        figure.colorbar(image, ax=axes, label="dev loss")
        lowest = min(_finite([value for row in values for value in row]), default=math.nan)
        for line, curve in enumerate(mine):
            for epoch, value in enumerate(curve.accuracies):
                if value is not None:
                    axes.text(epoch, line, f"{100 * value:.0f}", **number)
                if curve.losses[epoch] == lowest:
                    frame = Rectangle((epoch - 0.5, line - 0.5), 1, 1, fill=False, edgecolor=BEFORE, linewidth=2)
                    axes.add_patch(frame)
        axes.set_yticks(range(len(mine)), [f"{curve.rate:g}" for curve in mine])
        axes.set_xticks(range(width))
        axes.set(xlabel="epoch", ylabel="learning rate")
        axes.set_title(f"{cell[0]} · {cell[1]} (numbers: dev accuracy, %; frame: lowest loss)", fontsize=8, loc="left")
    return figure
