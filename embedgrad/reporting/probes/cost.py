"""What a point of the gain costs, step by step."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from embedgrad.reporting.figures.drawing import ACCENT, AFTER, BEFORE, GREY, INK, LINK, styled
from embedgrad.reporting.results.probes import Probed, Ranged
from embedgrad_core.files import ANY

TITLE = "What a point costs"
CAPTION = (
    "Seconds, tokens, peak memory and energy of each step of a cell, and of the optimisation per point gained; in brackets, from "
    "the ends of the gain's 95 % interval. Where that interval holds 0 the cost of a point has no upper end. Tokens are the same "
    "on every machine. Times are of the machine that ran it: seconds by the clock hold what else it did meanwhile, and CPU seconds "
    "do in part, since a CPU second gets less done on a busy machine (identical work has taken 1.5 times as many). CPU seconds "
    "and energy of a job that was resumed are left out: they would be of its last start alone."
)
_STEP = {
    "seconds": (float,),
    "cpu_seconds": (float,),
    "tokens": (int,),
    "peak_memory_bytes": (float,),
    "energy_joules": (float,),
    "reason": (str,),
}
SHAPE = {
    "steps": {ANY: _STEP},
    "optimisation": {
        "points": float,
        "interval": list,
        "per_point": dict.fromkeys(("tokens", "seconds", "cpu_seconds", "energy_joules"), ([(float,)],)),
    },
}
COLOURS = {"chains": INK, "optimize": AFTER, "before": BEFORE, "after": ACCENT, "baselines": GREY, "analyse": LINK}
NOT_MEASURED = "not measurable here"
# What a point costs in, the one that is the same on every machine first.
MEASURES = {"tokens": "tokens of training", "seconds": "seconds by the clock", "cpu_seconds": "CPU seconds"}


def fault(values: dict) -> str | None:
    """The key at which a result is impossible."""
    each = [one for one in values["optimisation"]["per_point"].values() if one is not None]
    return "per_point" if any(len(one) != 3 for one in each) or "optimize" not in values["steps"] else None


def lines(values: dict) -> list[dict]:
    """A line per step that ran; the optimisation's says what a point costs."""
    table = []
    for name in COLOURS:
        step = values["steps"].get(name)
        if step is None or step["seconds"] is None:
            continue
        memory, energy = step["peak_memory_bytes"], step["energy_joules"]
        line = {
            "step": name,
            "seconds": round(step["seconds"], 1),
            "cpu_seconds": None if step["cpu_seconds"] is None else round(step["cpu_seconds"], 1),
            "tokens": step["tokens"],
        }
        line["peak_memory_mb"] = None if memory is None else round(memory / 1e6)
        line["energy_joules"] = (None if step["reason"] else NOT_MEASURED) if energy is None else energy
        if name == "optimize":
            found = values["optimisation"]
            line["points_gained"] = round(found["points"], 1)
            line |= {
                f"{key}_per_point": Ranged.of(each[0], each[1:], digits=2)
                for key, each in found["per_point"].items()
                if each
            }
        if step["reason"]:
            line["note"] = step["reason"]
        table.append(line)
    return table


def sentence(found: Sequence[Probed]) -> str:
    """The cheapest and the dearest point, and the cells that gained none."""
    cells = {one.cell.name: (one.values or {})["optimisation"] for one in found}
    gained = {name: each["per_point"] for name, each in cells.items() if each["points"] > 0}
    none = len(cells) - len(gained)
    without = f"; {none} of {len(cells)} cells gained nothing for it" if none else ""
    if not gained:
        return f"No cell gained a point{without}."
    measure = next((key for key in MEASURES if any(each[key] for each in gained.values())), None)
    if measure is None:
        return f"What a point took is not known{without}."
    paid = {name: each[measure][0] for name, each in gained.items() if each[measure]}
    least, most = min(paid, key=paid.__getitem__), max(paid, key=paid.__getitem__)
    dearest = f", on {most} {_digits(paid[most])}" if most != least else ""
    others = [f"{_digits(gained[least][key][0])} {words}" for key, words in MEASURES.items() if gained[least][key]]
    beside = f" ({', '.join(others[1:])})" if others[1:] else ""
    return f"A point took {others[0]} on {least}{beside}{dearest}{without}."


def _digits(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{float(f'{value:.3g}'):,.12g}"


@styled()
def figure(found: Sequence[Probed]) -> Figure:
    """Seconds of each step, a bar per cell, the gain written at its end."""
    drawn = Figure(figsize=(7.2, 1.0 + 0.32 * len(found)), layout="constrained")
    axes = drawn.add_subplot()
    left = [0.0] * len(found)
    ran = [name for name in COLOURS if any(name in (one.values or {})["steps"] for one in found)]
    for name in ran:
        widths = [((one.values or {})["steps"].get(name) or {}).get("seconds") or 0.0 for one in found]
        axes.barh(range(len(found)), widths, left=left, color=COLOURS[name], edgecolor="white", height=0.7, label=name)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for place, one in enumerate(found):
        gained = (one.values or {})["optimisation"]["points"]
        axes.text(left[place], place, f"  {gained:+.1f} points", va="center", fontsize=7.5)
    axes.set_yticks(range(len(found)), [one.cell.name for one in found], fontsize=7.5)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlabel("seconds")
    drawn.legend(loc="outside upper center", ncols=len(ran), frameon=False, fontsize=8)
    return drawn
