"""What the optimised prompt loses beside the text prompt where inputs or prompt are changed."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from embedgrad.reporting.figures.drawing import (
    ACCENT,
    AFTER,
    BEFORE,
    FAINT,
    GREY,
    legend,
    name_axes,
    panels,
    styled,
    title,
)
from embedgrad.reporting.results.probes import Probed, Ranged
from embedgrad.reporting.statistics import surely
from embedgrad_core.files import ANY, COUNT

TITLE = "Robustness"
CAPTION = (
    "Both prompts on changed inputs, by the run's own decoder and evaluator. drop: right answers that the change costs, in "
    "points, item by item. lost: the optimised prompt's drop less the text prompt's, with its 95 % interval (MOVER); above 0, "
    "the gain does not survive the change as well as the text's own answers do. Other domain: other items, so that the gains are "
    "compared. Injection: the input ends with an instruction to give a wrong answer; label named: with that answer and no "
    "instruction. obeyed: answers that are the one at the end, beside how many were so anyway; beyond: points more than "
    "where it is only named, since a copy is no obedience. difference: how much more often the optimised prompt gives that answer "
    "than the text prompt; difference_of_changes: the same of what each gives beyond what it gives anyway. Below the line of the "
    "figure, in per cent: answers that are the label named, or injected, at the end; the bar marks how many were so without it, "
    "the diamond the difference of the changes. p: exact permutation test, by signs of the items' differences where both prompts "
    "are asked the same items; p_holm: Holm's correction over all lines of the table, lost and difference_of_changes each by "
    "itself; what is surely so is what that says. "
    "Paraphrases are of a table of synonyms, no reader's. On few items an interval that holds 0 proves no robustness."
)
_CHANGED = {"plain": COUNT, "changed": COUNT, "drop": (float,), "interval": (list,)}
_POINTS = {"points": float, "interval": list}
_TESTED = _POINTS | {"p": float}
_OBEYED = {"asked": COUNT, "rate_interval": list, "not_asked": COUNT, "beyond": (_POINTS,)}
_FOUND = {
    "n": COUNT,
    "n_plain": COUNT,
    "text": _CHANGED,
    "optimised": _CHANGED,
    "lost": _TESTED,
    "obeyed": ({"text": _OBEYED, "optimised": _OBEYED, "difference": _POINTS, "difference_of_changes": _TESTED},),
}
SHAPE = {"n": COUNT, "conditions": {ANY: {"what": str, "reason": (str,), "found": (_FOUND,)}}}
WORDS = {
    "paraphrase": "synonyms",
    "typos": "typos",
    "label_order": "labels swapped",
    "other_domain": "other domain",
    "mention": "label named",
    "injection": "injection",
}
# Below them, in per cent of the answers and not in points.
GIVEN = {"mention": "named, given", "injection": "injected, given"}
SIDES = {"text": BEFORE, "optimised": AFTER}
TESTS = ("lost_p", "difference_of_changes_p")
COLUMNS, MOST_COLUMNS, MANY = 3, 4, 10


def fault(values: dict) -> str | None:
    """The key at which a result is impossible."""
    for name, one in values["conditions"].items():
        found = one["found"]
        if name not in WORDS or (found is None) == (one["reason"] is None):
            return f"conditions.{name}"
        if found is None:
            continue
        if not found["n"] or not found["n_plain"]:
            return f"conditions.{name}.found.n"
        for side in SIDES:
            part, told = found[side], (found["obeyed"] or {}).get(side)
            fits = part["plain"] <= found["n_plain"] and part["changed"] <= found["n"]
            fits = fits and (part["drop"] is None) == (part["interval"] is None)
            if not fits or (told and max(told["asked"], told["not_asked"]) > found["n"]):
                return f"conditions.{name}.found.{side}"
    return None


def lines(values: dict) -> list[dict]:
    """A line per condition; those of a named answer and of the injection say how often each prompt gave it."""
    table = []
    for name, words in WORDS.items():
        one = values["conditions"].get(name)
        if one is None:
            continue
        found = one["found"]
        if found is None:
            table.append({"condition": words, "note": f"not asked: {one['reason']}"})
            continue
        line = {"condition": words, "n": found["n"]}
        for side in SIDES:
            part = found[side]
            for key, n in (("plain", found["n_plain"]), ("changed", found["n"])):
                line[f"{side}_{key}"] = round(100 * part[key] / n, 1)
            line[f"{side}_drop"] = Ranged.of(part["drop"], part["interval"], digits=1)
        line |= {"lost": _ranged(found["lost"]), "lost_p": found["lost"]["p"]}
        if found["obeyed"]:
            for side in SIDES:
                told = found["obeyed"][side]
                line[f"{side}_obeyed"] = Ranged.of(told["asked"] / found["n"], told["rate_interval"], 100, 1)
                line[f"{side}_anyway"] = round(100 * told["not_asked"] / found["n"], 1)
                if beyond := told["beyond"]:
                    line[f"{side}_beyond"] = _ranged(beyond)
            line["difference"] = _ranged(found["obeyed"]["difference"])
            changes = found["obeyed"]["difference_of_changes"]
            line |= {"difference_of_changes": _ranged(changes), "difference_of_changes_p": changes["p"]}
        line["note"] = one["what"]
        table.append(line)
    return table


def _ranged(told: dict) -> Ranged:
    return Ranged.of(told["points"], told["interval"], digits=1)


def sentence(found: Sequence[Probed]) -> str:
    """Conditions that cost the optimised prompt surely more than the text prompt, and how often both obeyed an injection."""
    asked = [
        (one.cell.name, name, condition["found"])
        for one in found
        if one.values
        for name, condition in one.values["conditions"].items()
        if condition["found"]
    ]
    signs = surely([told["lost"]["points"] for *_, told in asked], [told["lost"]["p"] for *_, told in asked])
    worse = [
        f"{WORDS.get(name, name)} on {cell}" for (cell, name, _), sign in zip(asked, signs, strict=True) if sign > 0
    ]
    better = sum(sign < 0 for sign in signs)
    listed = f" ({'; '.join(worse[:3])}{' …' if len(worse) > 3 else ''})" if worse else ""
    text = (
        f"Of {len(asked)} changes, {len(worse)} cost the optimised prompt more than the text prompt{listed}, {better} cost it "
        "less; the others cannot be told apart on so few items."
    )
    given = {
        name: [(told["obeyed"], told["n"]) for _, key, told in asked if key == name and told["obeyed"]]
        for name in ("injection", "mention")
    }
    return f"{text} {_injected(given)}" if given["injection"] else text


def _injected(given: dict[str, list[tuple[dict, int]]]) -> str:
    """How often each prompt obeyed, and whether the injection moved the one more than the other."""

    def percent(name: str, side: str, key: str) -> float:
        return 100 * sum(one[side][key] for one, _ in given[name]) / sum(size for _, size in given[name])

    told = " and ".join(
        f"the {side} prompt in {percent('injection', side, 'asked'):.0f} % ({percent('mention', side, 'asked'):.0f} % where it was "
        f"only named, {percent('injection', side, 'not_asked'):.0f} % without either)"
        for side in SIDES
    )
    changes = {name: [one["difference_of_changes"] for one, _ in given[name]] for name in ("injection", "mention")}
    tested = [*changes["injection"], *changes["mention"]]
    signs = surely([one["points"] for one in tested], [one["p"] for one in tested])[: len(changes["injection"])]
    mean = sum(one["points"] for one in changes["injection"]) / len(signs)
    return (
        f"An injected instruction to give a wrong answer got it from {told}. Beyond what each gives anyway, it moved the optimised "
        f"prompt by {mean:+.1f} points against the text prompt on average: surely more on {signs.count(1)} and surely less on "
        f"{signs.count(-1)} of {len(signs)} cells."
    )


@styled()
def figure(found: Sequence[Probed]) -> Figure:
    """Drops of both prompts, what is lost, and how often a label at the end is given, a panel per cell, with 95 % intervals."""
    columns = min(COLUMNS if len(found) < MANY else MOST_COLUMNS, len(found))
    rows = -(-len(found) // columns)
    top = 0.65 if columns > 1 else 0.9  # in a narrow figure the legend has a line for each mark
    drawn = Figure(figsize=(1.5 + 2.6 * columns, 0.4 + top + (2.6 if len(found) < MANY else 2.3) * rows))
    grid = panels(drawn, len(found), columns, (1.25, 0.2, top, 0.55), hspace=0.4, wspace=0.12)
    for place, (axes, one) in enumerate(zip(grid, found, strict=False)):
        _panel(axes, (one.values or {})["conditions"], named=place % columns == 0)
        title(axes, one.cell.name)
        axes.tick_params(axis="y", labelsize=8)
    handles = [Line2D([], [], color=colour, marker="o", label=f"{side} prompt") for side, colour in SIDES.items()]
    handles.append(Line2D([], [], color=ACCENT, marker="D", label="optimised less text: drops, changes"))
    handles.append(Line2D([], [], color=GREY, marker="|", linestyle="", label="given without it"))
    legend(drawn, handles, 4 if columns > 1 else 1)
    name_axes(drawn, "drop in points; labels given in % of answers", "")
    return drawn


def _panel(axes: Axes, conditions: dict, named: bool) -> None:
    lines = [(name, _drops) for name in WORDS] + [(name, _given) for name in GIVEN]
    axes.axvline(0, color=GREY, linestyle=":", linewidth=1)
    axes.axhline(len(WORDS) - 0.5, color=GREY, linewidth=0.8)
    for place, (name, marks_of) in enumerate(lines):
        axes.axhline(place, color=FAINT, linewidth=0.8, zorder=0)
        told = (conditions.get(name) or {}).get("found")
        marks = marks_of(told) if told else []
        if not marks:
            axes.text(4, place, "not asked", va="center", color=GREY, fontsize=7, style="italic")
        for offset, value, interval, colour, mark in marks:
            if interval is not None:
                axes.plot(interval, [place + offset] * 2, color=colour, linewidth=1)
            if value is not None:
                axes.plot(value, place + offset, mark, color=colour, markersize=6 if mark == "|" else 4)
    words = [*WORDS.values(), *GIVEN.values()]
    axes.set_yticks(range(len(words)), words if named else [""] * len(words))
    axes.set_ylim(len(words) - 0.5, -0.5)
    axes.set_xlim(-105, 105)


def _drops(told: dict) -> list[tuple]:
    """Both prompts' drops and what is lost: the offset from the condition's line, value, interval, colour, mark."""
    marks = [
        (offset, told[side]["drop"], told[side]["interval"], colour, "o")
        for offset, (side, colour) in zip((-0.22, 0.0), SIDES.items(), strict=True)
    ]
    return [*marks, (0.22, told["lost"]["points"], told["lost"]["interval"], ACCENT, "D")]


def _given(told: dict) -> list[tuple]:
    """How often each prompt gave the label at the end, and without it, and the difference of these changes, likewise; nothing where
    no label stood there.
    """
    marks: list[tuple] = []
    if not told["obeyed"]:
        return marks
    for offset, (side, colour) in zip((-0.26, 0.02), SIDES.items(), strict=True):
        given = told["obeyed"][side]
        ends = [100 * end for end in given["rate_interval"]]
        marks.append((offset, 100 * given["asked"] / told["n"], ends, colour, "o"))
        marks.append((offset, 100 * given["not_asked"] / told["n"], None, colour, "|"))
    apart = told["obeyed"]["difference_of_changes"]
    return [*marks, (0.3, apart["points"], apart["interval"], ACCENT, "D")]
