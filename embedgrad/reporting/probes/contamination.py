"""Does the untouched model know the test inputs by heart? Completions and Min-K % beside controls."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from embedgrad.reporting.figures.drawing import ACCENT, AFTER, GREY, INK, styled
from embedgrad.reporting.results.probes import Probed, Ranged
from embedgrad_core.files import ANY_LIST, COUNT

TITLE = "Contamination"
CAPTION = (
    "The untouched model on the inputs alone. exact, ROUGE-L: how much of the last 40 % of an input it writes word for word "
    "after the first 60 %. Min-K %: mean log-likelihood of an input's 20 % least likely tokens, in nats. AUROC: the chance "
    "that a test input has more of it than a control; 0.5 means that nothing tells them apart. Controls: new draws where the "
    "task is generated; elsewhere the inputs' own sentences or words shuffled among them, which is no true control: such texts "
    "read less smoothly, so that an AUROC above 0.5 is expected without any memory. Exact completions need no control."
)
_SIDE = {"n": COUNT, "exact": COUNT, "exact_interval": list, "rouge_l": float, "min_k": float}
_AREA = {"value": (float,), "interval": (list,)}
SHAPE = {
    "control_kind": str,
    "true_control": bool,
    "levels_left_out": ANY_LIST,
    "test": _SIDE,
    "control": _SIDE,
    "auroc": {"rouge_l": _AREA, "min_k": _AREA},
}
NAMES = {"rouge_l": "completion (ROUGE-L)", "min_k": "Min-K %"}


def fault(values: dict) -> str | None:
    """The key at which a result is impossible."""
    for side in ("test", "control"):
        if not values[side]["exact"] <= values[side]["n"] > 0:
            return side
    if not all(isinstance(level, str) for level in values["levels_left_out"]):
        return "levels_left_out"
    areas = values["auroc"]
    half = [key for key, area in areas.items() if (area["value"] is None) != (area["interval"] is None)]
    beyond = [key for key, area in areas.items() if area["value"] is not None and not 0 <= area["value"] <= 1]
    return f"auroc.{[*half, *beyond][0]}" if half or beyond else None


def lines(values: dict) -> list[dict]:
    """The test inputs, with AUROCs, and their controls."""
    table = []
    for side, name in (("test", "test inputs"), ("control", f"controls, {values['control_kind']}")):
        found = values[side]
        line = {"texts": name, "n": found["n"]}
        line["exact_percent"] = Ranged.of(found["exact"] / found["n"], found["exact_interval"], 100, 1)
        line |= {"rouge_l": round(found["rouge_l"], 3), "min_k": round(found["min_k"], 3)}
        if side == "test":
            areas = values["auroc"]
            line |= {f"auroc_{key}": Ranged.of(areas[key]["value"], areas[key]["interval"], digits=2) for key in NAMES}
            line["true_control"] = "yes" if values["true_control"] else "no true control"
            if left_out := values["levels_left_out"]:
                line["note"] = f"without level {', '.join(left_out)}: too few new items can be drawn"
        table.append(line)
    return table


def sentence(found: Sequence[Probed]) -> str:
    """Inputs completed word for word, and cells where test inputs are told apart from true controls."""
    cells = [one.values for one in found if one.values]
    exact, n = (sum(values["test"][key] for values in cells) for key in ("exact", "n"))
    true = [values for values in cells if values["true_control"]]
    ends = [values["auroc"]["min_k"]["interval"] for values in true]
    apart = sum(interval is not None and interval[0] > 0.5 for interval in ends)
    told = f"; on {apart} of {len(true)} cells with true controls Min-K % tells the test inputs apart" if true else ""
    without = len(cells) - len(true)
    return f"{exact} of {n} test inputs were completed word for word{told}." + (
        f" {without} of {len(cells)} cells have no true control: there an AUROC above 0.5 is expected without memory."
        if without
        else ""
    )


@styled()
def figure(found: Sequence[Probed]) -> Figure:
    """AUROC of both readings with 95 % intervals, a line per cell; hollow where there is no true control."""
    drawn = Figure(figsize=(7.2, 1.35 + 0.42 * len(found)), layout="constrained")
    axes = drawn.add_subplot()
    colours = dict(zip(NAMES, (ACCENT, AFTER), strict=True))
    axes.axvline(0.5, color=GREY, linestyle=":", linewidth=1)
    for place, one in enumerate(found):
        values = one.values or {}
        for offset, (key, colour) in zip((-0.15, 0.15), colours.items(), strict=True):
            area = values["auroc"][key]
            if area["value"] is None:
                continue
            face = colour if values["true_control"] else "white"
            axes.plot(area["interval"], [place + offset] * 2, color=colour, linewidth=1.2)
            axes.plot(area["value"], place + offset, "o", color=colour, markerfacecolor=face, markersize=5)
    axes.set_yticks(range(len(found)), [one.cell.name for one in found], fontsize=7.5)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("AUROC, test inputs against controls")
    handles = [Line2D([], [], color=colours[key], marker="o", label=name) for key, name in NAMES.items()]
    hollow = Line2D([], [], color=INK, marker="o", markerfacecolor="white", linestyle="", label="no true control")
    drawn.legend(handles=[*handles, hollow], loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return drawn
