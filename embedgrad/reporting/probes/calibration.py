"""Label likelihoods as forecasts: do they rank, and may they be taken at their word?"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, GREY, legend, name_axes, panels, styled, title
from embedgrad.reporting.results.probes import Probed, Ranged
from embedgrad.reporting.statistics import wilson
from embedgrad_core.files import ANY, COUNT

TITLE = "Calibration of label likelihoods"
CAPTION = (
    "Each label's likelihood among the labels alone: nothing is generated, so that no format counts. mass: what all labels have "
    "of what the model might have said, which is format. AUROC and Brier score (0 is best; half the squared distance), with "
    "bootstrap intervals (where a bootstrap has no spread: Newcombe's of AUROC, none of the Brier score), are knowledge. Below: "
    "the optimised prompt less each other, item by item; accuracy with Newcombe's interval. ECE: expected calibration error of "
    "the chosen label, beside the mean and the 97.5 % quantile that a perfectly calibrated model would have on so few items. A "
    "Brier score that the training frequencies reach knows nothing of an input. Figure: right answers over the chance that the "
    "model gave them, with Wilson's interval; area: items."
)
_BIN = {"confidence": float, "right": COUNT, "n": COUNT}
_SCORED = {
    "accuracy": float,
    "accuracy_interval": list,
    "auroc": (float,),
    "auroc_interval": (list,),
    "brier": float,
    "brier_interval": (list,),
    "ece": float,
    "ece_if_calibrated": list,
    "bins": [_BIN],
}
_CHANGE = {"accuracy": [float], "auroc": ([float],), "brier": [(float,)]}
SHAPE = {
    "n": COUNT,
    "base_rates": {"accuracy": float, "brier": float},
    "readings": {ANY: {"mass": float, "sum": _SCORED, "mean": _SCORED}},
    "change": {ANY: {"sum": _CHANGE, "mean": _CHANGE}},
}
COLOURS = {"text prompt": BEFORE, "optimised prompt": AFTER, "rewrite": ACCENT}
# What the optimised prompt is held against, as the table names it.
OTHERS = {"text prompt": "text", "rewrite": "rewrite"}
SCALES = {"sum": "sum", "mean": "mean a token"}
ALIKE = {"sum": "either"}  # labels of one token each: both scales are the same
COLUMNS, MOST_COLUMNS, MANY = 3, 5, 10


def fault(values: dict) -> str | None:
    """The key at which a result is impossible."""
    if not {"text prompt", "optimised prompt"} <= set(values["readings"]):
        return "readings"
    bins = [one for reading in values["readings"].values() for scale in SCALES for one in reading[scale]["bins"]]
    if any(not one["right"] <= one["n"] > 0 for one in bins):
        return "bins"
    if set(values["change"]) != set(values["readings"]) - {"optimised prompt"}:
        return "change"
    scales = [change[scale] for change in values["change"].values() for scale in SCALES]
    changes = [change[key] for change in scales for key in ("accuracy", "auroc", "brier")]
    return "change" if any(change is not None and len(change) != 3 for change in changes) else None


def lines(values: dict) -> list[dict]:
    """The training frequencies, each prompt on both scales (once, where they are the same), and the change by optimisation."""
    n, rates = values["n"], values["base_rates"]
    scales = ALIKE if all(one["sum"] == one["mean"] for one in values["readings"].values()) else SCALES
    table = [{"prompt": "training frequencies", "scale": None, "n": n, "mass": None}]
    table[0] |= {"accuracy": round(100 * rates["accuracy"], 1), "auroc": 0.5, "brier": round(rates["brier"], 3)}
    for name in [name for name in COLOURS if name in values["readings"]]:
        reading = values["readings"][name]
        for scale, words in scales.items():
            found = reading[scale]
            line = {"prompt": name, "scale": words, "n": n, "mass": round(100 * reading["mass"], 1)}
            line["accuracy"] = Ranged.of(found["accuracy"], found["accuracy_interval"], 100, 1)
            line |= {key: Ranged.of(found[key], found[f"{key}_interval"]) for key in ("auroc", "brier")}
            mean, most = found["ece_if_calibrated"]
            line |= {"ece": round(found["ece"], 3), "ece_if_calibrated_mean": round(mean, 3)}
            table.append(line | {"ece_if_calibrated_97.5_%_quantile": round(most, 3)})
    for name, short in ((name, short) for name, short in OTHERS.items() if name in values["change"]):
        for scale, words in scales.items():
            change = values["change"][name][scale]
            line = {"prompt": f"optimised - {short}", "scale": words, "n": n, "mass": None}
            line["accuracy"] = Ranged.of(change["accuracy"][0], change["accuracy"][1:], 100, 1)
            line |= {key: change[key] and Ranged.of(change[key][0], change[key][1:]) for key in ("auroc", "brier")}
            table.append(line)
    return table


def sentence(found: Sequence[Probed]) -> str:
    """On how many cells the ranking became better, and where the forecast beats the training frequencies."""
    cells = [one.values for one in found if one.values]
    up, down, level = _ranked([values["change"]["text prompt"]["sum"]["auroc"] for values in cells])
    rewritten = [values["change"]["rewrite"]["sum"]["auroc"] for values in cells if "rewrite" in values["change"]]
    over = "; than the rewrite's, which needs no training, on {} of {}, worse on {}"
    rewrite = over.format(_ranked(rewritten)[0], len(rewritten), _ranked(rewritten)[1]) if rewritten else ""
    beats = sum(
        interval is not None and interval[1] < values["base_rates"]["brier"]
        for values in cells
        for interval in [values["readings"]["optimised prompt"]["sum"]["brier_interval"]]
    )
    mass = [[values["readings"][name]["mass"] for values in cells] for name in ("text prompt", "optimised prompt")]
    before, after = (100 * sum(values) / len(values) for values in mass)
    return (
        f"Optimisation ranked the labels better on {up} of {len(cells)} cells, worse on {down}, and on {level} its AUROC cannot be "
        f"told apart from the text prompt's{rewrite}. The labels' share of what the model might say went from {before:.1f} to "
        f"{after:.1f} % on average. On {beats} the optimised forecast is better than the training frequencies."
    )


def _ranked(changes: Sequence[list[float] | None]) -> tuple[int, int, int]:
    """How many changes of an AUROC lie above 0 by their interval, how many below, and how many neither."""
    up = sum(change is not None and change[1] > 0 for change in changes)
    down = sum(change is not None and change[2] < 0 for change in changes)
    return up, down, len(changes) - up - down


@styled()
def figure(found: Sequence[Probed]) -> Figure:
    """Reliability diagrams, a panel per cell; log-likelihoods summed over each label's tokens."""
    columns = min(COLUMNS if len(found) < MANY else MOST_COLUMNS, len(found))
    rows = -(-len(found) // columns)
    drawn = Figure(figsize=(0.7 + 2.5 * columns, 1.1 + 2.6 * rows))
    margins = (0.6, 0.15, 0.75, 0.55)
    for axes, one in zip(panels(drawn, len(found), columns, margins, hspace=0.45, wspace=0.25), found, strict=False):
        _reliability(axes, (one.values or {})["readings"])
        title(axes, one.cell.name)
    read = {name for one in found for name in (one.values or {})["readings"]}
    handles = [Line2D([], [], color=colour, marker="o", label=name) for name, colour in COLOURS.items() if name in read]
    legend(drawn, [*handles, Line2D([], [], color=GREY, linestyle=":", label="calibrated")], 4 if columns > 1 else 2)
    name_axes(drawn, "chance given to the chosen label", "share of right answers")
    return drawn


def _reliability(axes: Axes, readings: dict) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    told = []
    for name, colour in COLOURS.items():
        if name not in readings:
            continue
        scored = readings[name]["sum"]
        bins = scored["bins"]
        across, shares = [one["confidence"] for one in bins], [one["right"] / one["n"] for one in bins]
        ends = [wilson(one["right"], one["n"]) for one in bins]
        low, high = ([abs(end[place] - share) for end, share in zip(ends, shares, strict=True)] for place in (0, 1))
        axes.errorbar(across, shares, [low, high], color=colour, linewidth=1, elinewidth=0.6, capsize=0, alpha=0.9)
        most = max(one["n"] for one in bins)
        axes.scatter(across, shares, [6 + 50 * one["n"] / most for one in bins], color=colour, zorder=3, alpha=0.9)
        told.append((f"ECE {scored['ece']:.2f} (calibrated < {scored['ece_if_calibrated'][1]:.2f})", colour))
    for place, (text, colour) in enumerate(told):
        axes.text(0.03, 0.99 - 0.065 * place, text, color=colour, fontsize=6.5, va="top", transform=axes.transAxes)
    axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.24), yticks=[0, 0.2, 0.4, 0.6, 0.8, 1])
