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
    "The cell's own optimisation once more (same start, items, order, rate, number of epochs), each target dealt to another item "
    "so that labels tell nothing of inputs: what that prompt gains is format. knowledge: the true prompt minus it, item by item, "
    "with Newcombe's paired interval and the exact McNemar p; p_holm: Holm's correction over the cells, format and knowledge each "
    "by itself; what is surely so is what that says. Shuffled targets also teach to ignore the input, so that format is "
    "what they give at least and knowledge the rest at most: where the text prompt's likeliest label is right more often than "
    "that of shuffled targets, the model knew before, and part of that knowledge it was only kept from saying. kept their answer: "
    "training items that were dealt their own, and as many as expected by chance. It is one dealing."
)
_SIDE = {"correct": COUNT, "wilson": list, "readable": COUNT}
_PART = {"points": float, "interval": list, "p": float}
SHAPE = {
    "n": COUNT,
    "epochs": COUNT,
    "sides": dict.fromkeys(("before", "shuffled", "after"), _SIDE),
    "dealt": {"same": COUNT, "expected": float, "n": COUNT},
    "likeliest": (dict.fromkeys(("before", "shuffled"), COUNT),),
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
    n, known = values["n"], (values["likeliest"] or {}).values()
    counts = [side[key] for side in values["sides"].values() for key in ("correct", "readable")]
    return "n" if n < 1 or max([*counts, *known]) > n else None


def lines(values: dict) -> list[dict]:
    """One line a cell."""
    n, dealt = values["n"], values["dealt"]
    line: dict[str, Any] = {"n": n, "epochs": values["epochs"]}
    for side in ("before", "shuffled", "after"):
        found = values["sides"][side]
        line[f"{side}_%"] = round(100 * found["correct"] / n, 1)
        line[f"{side}_readable_%"] = round(100 * found["readable"] / n, 1)
    for part in ("format", "knowledge"):
        line |= {part: _points(values[part]), f"{part}_p": values[part]["p"]}
    for side, right in (values["likeliest"] or {}).items():
        line[f"{side}_likeliest_label_%"] = round(100 * right / n, 1)
    return [line | {"kept_their_answer": f"{dealt['same']} of {dealt['n']} (expected {dealt['expected']:.0f})"}]


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
        f"On {knows} of {len(cells)} cells the true targets taught more right answers than shuffled ones{worse} (exact McNemar, "
        f"p < .05 after Holm's correction over the cells); "
        f"on {len(cells) - knows - less} the gain cannot be told from format. On average shuffled "
        f"targets gave {means[1]:+.1f} of {means[0]:+.1f} points."
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
