"""The gain in two parts: what shuffled targets teach as well, and what the true ones teach beyond it."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from embedgrad.reporting.figures.drawing import AFTER, BEFORE, GREY, INK, styled
from embedgrad.reporting.results.probes import Probed, Ranged
from embedgrad.reporting.statistics import surely
from embedgrad_core.files import COUNT

TITLE = "Format or knowledge: shuffled targets"
CAPTION = (
    "The cell's own optimisation once more (same start, items, order, rate, number of epochs), each target dealt to another "
    "item so that labels tell nothing of inputs: what that prompt gains is format. knowledge: the true prompt minus it, item by "
    "item. Of one dealing with Newcombe's paired interval and the exact McNemar p; of several the numbers are means, with "
    "dealings and items as crossed random effects. p_holm: Holm's correction over the cells, format and knowledge each by "
    "itself; what is surely so is what that says. Shuffled targets also teach to ignore the input, so that format is what they "
    "give at least and knowledge the rest at most: where the text prompt's likeliest label is right more often than that of "
    "shuffled targets, the model knew before, and part of that knowledge it was only kept from saying. kept their answer: "
    "training items that were dealt their own, and as many as expected by chance."
)
_SIDE = {"correct": COUNT, "wilson": list, "readable": COUNT}
_PART = {"points": float, "interval": list, "p": float}
SHAPE = {
    "n": COUNT,
    "epochs": COUNT,
    "sides": dict.fromkeys(("before", "after"), _SIDE),
    "dealings": [_SIDE | {"dealt": {"same": COUNT, "expected": float, "n": COUNT}, "likeliest": (COUNT,)}],
    "likeliest_before": (COUNT,),
    **dict.fromkeys(("total", "format", "knowledge"), _PART),
}
TESTS = ("format_p", "knowledge_p")
MANY = 10  # cells, whose bars are thinner
PARTS = {
    "total": (GREY, "total"),
    "format": (BEFORE, "format, at least"),
    "knowledge": (AFTER, "knowledge, at most"),
}


def fault(values: dict) -> str | None:
    """The key at which a result is impossible."""
    n, sides = values["n"], [*values["sides"].values(), *values["dealings"]]
    known = [one["likeliest"] or 0 for one in values["dealings"]] + [values["likeliest_before"] or 0]
    if not values["dealings"]:
        return "dealings"
    return (
        "n" if n < 1 or max([*known, *(side[key] for side in sides for key in ("correct", "readable"))]) > n else None
    )


def lines(values: dict) -> list[dict]:
    """One line a cell."""
    n, dealings = values["n"], values["dealings"]
    line: dict[str, Any] = {"n": n, "epochs": values["epochs"], "dealings": len(dealings)}
    sides = {"before": [values["sides"]["before"]], "shuffled": dealings, "after": [values["sides"]["after"]]}
    for name, some in sides.items():
        for key, column in (("correct", "%"), ("readable", "readable_%")):
            line[f"{name}_{column}"] = round(100 * sum(one[key] for one in some) / (len(some) * n), 1)
    if len(dealings) > 1:
        line["each_dealing_%"] = ", ".join(f"{100 * one['correct'] / n:.1f}" for one in dealings)
    for part in ("format", "knowledge"):
        line |= {part: _points(values[part]), f"{part}_p": values[part]["p"]}
    if values["likeliest_before"] is not None:
        line["before_likeliest_label_%"] = round(100 * values["likeliest_before"] / n, 1)
        right = sum(one["likeliest"] or 0 for one in dealings)
        line["shuffled_likeliest_label_%"] = round(100 * right / (len(dealings) * n), 1)
    same = ", ".join(str(one["dealt"]["same"]) for one in dealings)
    dealt = dealings[0]["dealt"]
    return [line | {"kept_their_answer": f"{same} of {dealt['n']} (expected {dealt['expected']:.1f})"}]


def _points(part: dict) -> Ranged:
    return Ranged.of(part["points"], part["interval"], digits=1)


def sentence(found: Sequence[Probed]) -> str:
    """On how many cells there is knowledge, and what share of the gain is format."""
    cells = [one.values for one in found if one.values]
    tested = [values["knowledge"] for values in cells]
    signs = surely([one["points"] for one in tested], [one["p"] for one in tested])
    knows, less = signs.count(1), signs.count(-1)
    means = [sum(values[part]["points"] for values in cells) / len(cells) for part in ("total", "format")]
    worse = f", on {less} fewer," if less else ""
    return (
        f"On {knows} of {len(cells)} cells the true targets taught more right answers than shuffled ones{worse} (p < .05 after "
        f"Holm's correction over the cells); on {len(cells) - knows - less} the gain cannot be told from format. On average "
        f"shuffled targets gave {means[1]:+.1f} of {means[0]:+.1f} points."
    )


@styled()
def figure(found: Sequence[Probed]) -> Figure:
    """Three bars a cell: total, format, knowledge, each with its interval."""
    drawn = Figure(figsize=(7.2, 0.9 + (0.62 if len(found) < MANY else 0.38) * len(found)), layout="constrained")
    axes = drawn.add_subplot()
    for row, (part, (colour, words)) in enumerate(PARTS.items()):
        places = [place + 0.25 * (row - 1) for place in range(len(found))]
        values = [(one.values or {})[part] for one in found]
        points = [value["points"] for value in values]
        reach = [[abs(value["interval"][end] - value["points"]) for value in values] for end in (0, 1)]
        axes.barh(places, points, height=0.23, color=colour, label=words)
        axes.errorbar(points, places, xerr=reach, fmt="none", ecolor=INK, elinewidth=0.8)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(found)), [one.cell.name for one in found], fontsize=7.5)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel("points of accuracy, 95 % intervals")
    drawn.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return drawn
