"""What a single split's result is worth."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, FAINT, GREY, INK, styled, title
from embedgrad.reporting.results.probes import Probed, Ranged
from embedgrad_core.files import ANY, ANY_LIST, COUNT

TITLE = "What a single split is worth"
CAPTION = (
    "The gain of one cell over several runs that differ in split, in the order of the training items and, where starts are "
    "displaced, in the displacement, as random effects, each of the last two within the one before. sd: standard deviation of "
    "each in points, with its 95 % interval (a parametric bootstrap test, inverted; no upper end where so few levels bound "
    "none); an item's own is of one item, and is divided by their number in a run's gain. single run: how far the gain of one "
    "run strays, and what its own interval over items would make of that. Where the ratio is well above 1, one split's interval "
    "is too narrow for any claim beyond that split. Figure: left, each component; right, each run's gain, and the mean of all "
    "with its interval."
)
_COMPONENT = {"levels": COUNT, "variance": float, "sd": float, "interval": list}
SHAPE = {
    "runs": COUNT,
    "items": float,
    "mean": float,
    "interval": list,
    "components": {ANY: _COMPONENT},
    "confounded": ANY_LIST,
    "single": {"sd": float, "sd_of_items": float, "ratio": (float,)},
    "covered": COUNT,
    "significant": COUNT,
    "gains": [{"split": str, "order": str, "n": COUNT, "points": float}],
}
# Of more cells than these each has a line.
MOST_PANELS = 4
MARKS = {"its items": "o", "split": "s", "order": "^", "displacement": "v"}


def fault(values: dict) -> str | None:
    """The key at which a result is impossible."""
    if not values["components"]:
        return "components"
    if len(values["gains"]) != values["runs"]:
        return "gains"
    return next((key for key in ("covered", "significant") if values[key] > values["runs"]), None)


def lines(values: dict) -> list[dict]:
    """A line per component, one for the gain of all runs, one for a single run."""
    table: list[dict] = [
        {"what": name, "levels": one["levels"], "sd": Ranged.of(one["sd"], one["interval"], digits=1)}
        for name, one in values["components"].items()
    ]
    if values["confounded"]:
        table[0]["note"] = "cannot be told apart from another: " + ", ".join(map(str, values["confounded"]))
    single = values["single"]
    whole = {
        "what": "gain of all runs",
        "levels": values["runs"],
        "gain": Ranged.of(values["mean"], values["interval"], digits=1),
    }
    whole["note"] = (
        f"{values['significant']} runs find a gain by themselves; {values['covered']} intervals hold this mean"
    )
    alone = {
        "what": "single run",
        "levels": 1,
        "sd": round(single["sd"], 1),
        "sd_of_items": round(single["sd_of_items"], 1),
    }
    return [*table, whole, alone | {"ratio": None if single["ratio"] is None else round(single["ratio"], 2)}]


def sentence(found: Sequence[Probed]) -> str:
    """The cell whose single runs stray most beyond what their items say."""
    cells = {one.cell.name: one.values for one in found if one.values}
    most = max(cells, key=lambda name: cells[name]["single"]["ratio"] or 0.0)
    worst = cells[most]
    runs, covered = (sum(values[key] for values in cells.values()) for key in ("runs", "covered"))
    ratio = worst["single"]["ratio"]
    beyond = f", {ratio:.1f} times what its items say" if ratio else ""
    return (
        f"A single run's gain strays by {worst['single']['sd']:.1f} points on {most}{beyond}; {covered} of {runs} runs' own 95 % "
        "intervals hold the mean gain of all runs of their cell."
    )


@styled()
def figure(found: Sequence[Probed]) -> Figure:
    """Two panels a cell: standard deviations of the components, and the gain of each run by split; of many cells a line each."""
    if len(found) > MOST_PANELS:
        return _lines(found)
    drawn = Figure(figsize=(7.2, 0.4 + 2.0 * len(found)), layout="constrained")
    grid = drawn.subplots(len(found), 2, squeeze=False)
    for (left, right), one in zip(grid, found, strict=True):
        values = one.values or {}
        _components(left, values["components"])
        title(left, one.cell.name)
        _gains(right, values)
        title(right, f"mean {values['mean']:+.1f} [{values['interval'][0]:+.1f}, {values['interval'][1]:+.1f}]")
    grid[-1][0].set_xlabel("standard deviation, points")
    grid[-1][1].set_xlabel("split")
    return drawn


def _lines(found: Sequence[Probed]) -> Figure:
    """A line a cell: left its runs' gains and their mean, right what spreads the gain of one run."""
    drawn = Figure(figsize=(9.6, 1.1 + 0.3 * len(found)), layout="constrained")
    gains, spreads = drawn.subplots(1, 2, sharey=True)
    factors = list(dict.fromkeys(name for one in found for name in _of_runs(one.values or {})))
    colours = dict(zip(factors, (BEFORE, AFTER, ACCENT, INK), strict=False))
    for place, one in enumerate(found):
        values = one.values or {}
        for axes in (gains, spreads):
            axes.axhline(place, color=FAINT, linewidth=0.8, zorder=0)
        points = [run["points"] for run in values["gains"]]
        gains.plot(points, [place] * len(points), "o", color=GREY, markersize=3, alpha=0.7)
        gains.plot(values["interval"], [place, place], color=ACCENT, linewidth=1.4)
        gains.plot(values["mean"], place, "D", color=ACCENT, markersize=4)
        for name, sd in _of_runs(values).items():
            spreads.plot(sd, place, MARKS[name], color=colours[name], markersize=5, alpha=0.85)
    gains.axvline(0, color=GREY, linestyle=":", linewidth=1)
    gains.set_yticks(range(len(found)), [one.cell.name for one in found], fontsize=7.5)
    gains.set_ylim(len(found) - 0.4, -0.6)
    gains.set_xlabel("gain, points: each run, and their mean with its interval")
    spreads.set_xlim(left=0)
    spreads.set_xlabel("standard deviation of one run's gain, points")
    handles = [Line2D([], [], color=colours[name], marker=MARKS[name], linestyle="", label=name) for name in factors]
    drawn.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return drawn


def _of_runs(values: dict) -> dict[str, float]:
    """What spreads a run's gain: its items, as the run itself has them, and what a run's own interval does not know of."""
    parts = {name: one["sd"] for name, one in values["components"].items() if name in MARKS}
    return {"its items": values["single"]["sd_of_items"]} | parts


def _components(axes: Axes, components: dict) -> None:
    for place, one in enumerate(components.values()):
        axes.axhline(place, color=FAINT, linewidth=0.8, zorder=0)
        low, high = one["interval"]
        axes.plot([low, one["sd"] if high is None else high], [place, place], color=AFTER, linewidth=1.2)
        axes.plot(one["sd"], place, "o", color=AFTER, markersize=5)
    axes.set_yticks(range(len(components)), components, fontsize=7.5)
    axes.set_ylim(len(components) - 0.5, -0.5)
    axes.set_xlim(left=-1)


def _gains(axes: Axes, values: dict) -> None:
    splits = list(dict.fromkeys(one["split"] for one in values["gains"]))
    axes.axhspan(*values["interval"], color=ACCENT, alpha=0.15, linewidth=0)
    axes.axhline(values["mean"], color=ACCENT, linewidth=1.2)
    axes.axhline(0, color=GREY, linestyle=":", linewidth=1)
    for place, split in enumerate(splits):
        own = [one["points"] for one in values["gains"] if one["split"] == split]
        spread = [place + 0.12 * (order - (len(own) - 1) / 2) for order in range(len(own))]
        axes.plot(spread, own, "o", color=AFTER, markersize=4.5)
    axes.set_xticks(range(len(splits)), splits)
    axes.set_xlim(-0.5, len(splits) - 0.5)
    axes.set_ylabel("gain, points", fontsize=8)
