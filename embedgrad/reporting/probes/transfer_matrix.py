"""Is a prompt its task's own? Every prompt of a model on every task of that model, as a heat map."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from embedgrad.reporting.figures.drawing import GREY, INK, styled, title
from embedgrad.reporting.results.probes import Probed, Ranged
from embedgrad.reporting.statistics import surely
from embedgrad_core.files import COUNT

TITLE = "Transfer"
CAPTION = (
    "Each optimised prompt on the test items of every task of its model. generated: what the model writes, by the task's own "
    "evaluator; likelihood: the likeliest of the task's answers, whatever would be written. gain: over the prompt's own text "
    "on the same items, with Newcombe's interval. A gain on other tasks as well is a gain of format, or of attention to the "
    "question, rather than of the task. p: exact McNemar; p_holm: Holm's correction over all lines of the table; what is surely "
    "so is what that says (p_holm < .05). Figure: accuracy in per cent, and below it the gain in points, bold where it is surely "
    "not 0; framed: the prompt's own task."
)
_FOUND = {
    "n": COUNT,
    "text": COUNT,
    "optimised": COUNT,
    "interval": list,
    "gain": float,
    "gain_interval": list,
    "p": float,
}
SHAPE = {"asked": [{"task": str, "reading": str, "left_out": (str,), "found": (_FOUND,)}]}
READINGS = ("generated", "likelihood")
TESTS = ("p",)
# A prompt, what was found on each task, and which of its gains are surely there.
Row = tuple[Probed, dict[str, dict], dict[str, int]]


def fault(values: dict) -> str | None:
    """The key at which a result is impossible."""
    asked = values["asked"]
    if len({(one["task"], one["reading"]) for one in asked}) < len(asked):
        return "asked"
    for place, one in enumerate(asked):
        found = one["found"]
        if one["reading"] not in READINGS or (found is None) == (one["left_out"] is None):
            return f"asked.{place}"
        if found and not max(found["text"], found["optimised"]) <= found["n"] > 0:
            return f"asked.{place}.found.n"
    return None


def lines(values: dict) -> list[dict]:
    """A line per task and reading."""
    table = []
    for one in values["asked"]:
        line = {"asked_task": one["task"], "reading": one["reading"]}
        found = one["found"]
        if found is None:
            table.append(line | {"note": f"left out: {one['left_out']}"})
            continue
        line |= {"n": found["n"], "text_percent": round(100 * found["text"] / found["n"], 1)}
        line["optimised_percent"] = Ranged.of(found["optimised"] / found["n"], found["interval"], 100, 1)
        line["gain"] = Ranged.of(found["gain"], found["gain_interval"], digits=1)
        table.append(line | {"p": found["p"]})
    return table


def _signs(found: Sequence[Probed]) -> list[dict[tuple[str, str], int]]:
    """Of each prompt by task and reading: 1 for a sure gain after Holm's correction over all, -1 for a sure loss, or 0."""
    asked = [(place, one) for place, each in enumerate(found) for one in (each.values or {})["asked"] if one["found"]]
    gains, p_values = ([one["found"][key] for _, one in asked] for key in ("gain", "p"))
    signs: list[dict[tuple[str, str], int]] = [{} for _ in found]
    for (place, one), sign in zip(asked, surely(gains, p_values), strict=True):
        signs[place][one["task"], one["reading"]] = sign
    return signs


def sentence(found: Sequence[Probed]) -> str:
    """Gains on the prompts' own tasks beside those on other tasks."""
    gains: dict[bool, list[float]] = {True: [], False: []}
    sure = {True: 0, False: 0}
    for one, signs in zip(found, _signs(found), strict=True):
        for asked in (one.values or {})["asked"]:
            if asked["found"] and asked["reading"] == "generated":
                own = asked["task"] == one.cell.task
                gains[own].append(asked["found"]["gain"])
                sure[own] += signs[asked["task"], "generated"] > 0
    if not gains[True] or not gains[False]:
        return "No prompt could be asked both its own task and another."
    mean = {own: sum(values) / len(values) for own, values in gains.items()}
    return (
        f"As written answers, a prompt gained {mean[True]:+.1f} points on its own task on average ({sure[True]} of "
        f"{len(gains[True])} surely), and {mean[False]:+.1f} on other tasks of its model ({sure[False]} of {len(gains[False])})."
    )


@styled()
def figure(found: Sequence[Probed]) -> Figure:
    """A heat map for each model and reading: prompts down, tasks across."""
    pairs = list(zip(found, _signs(found), strict=True))
    maps = [
        (model, reading, rows)
        for model in dict.fromkeys(one.cell.model for one in found)
        for reading in READINGS
        if (rows := _rows([pair for pair in pairs if pair[0].cell.model == model], reading))
    ]
    across = max(len({task for _, asked, _ in rows for task in asked}) for _, _, rows in maps)
    columns = min(2, len(maps))
    # As high as the longest of those beside each other, so that a model of few prompts takes little room.
    down = [max(len(rows) for _, _, rows in maps[first : first + columns]) for first in range(0, len(maps), columns)]
    drawn = Figure(
        figsize=(columns * (1.35 + 0.85 * across), 0.5 + sum(0.55 + 0.5 * rows for rows in down)), layout="constrained"
    )
    grid = drawn.subplots(len(down), columns, squeeze=False, height_ratios=down)
    for axes in grid.flat[len(maps) :]:
        axes.set_axis_off()
    for axes, (model, reading, rows) in zip(grid.flat, maps, strict=False):
        _map(axes, rows)
        title(axes, f"{model}, {reading}")
    drawn.supxlabel("asked task", fontsize=9)
    drawn.supylabel("prompt optimised for", fontsize=9)
    return drawn


def _rows(found: Sequence[tuple[Probed, dict[tuple[str, str], int]]], reading: str) -> list[Row]:
    rows = []
    for one, signs in found:
        asked = {part["task"]: part["found"] for part in (one.values or {})["asked"] if part["reading"] == reading}
        if asked:
            rows.append((one, asked, {task: sign for (task, own), sign in signs.items() if own == reading}))
    return rows


def _map(axes: Axes, rows: Sequence[Row]) -> None:
    tasks = list(dict.fromkeys(task for _, asked, _ in rows for task in asked))
    shares = [
        [100 * told["optimised"] / told["n"] if (told := asked.get(task)) else float("nan") for task in tasks]
        for _, asked, _ in rows
    ]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=130, aspect="auto")  # the darkest blue would drown the words
    for down, (one, asked, signs) in enumerate(rows):
        for across, task in enumerate(tasks):
            told = asked.get(task)
            if told is None:
                axes.text(across, down, "–", ha="center", va="center", color=GREY)
                continue
            weight = "bold" if signs[task] else "normal"
            axes.text(
                across, down - 0.02, f"{shares[down][across]:.0f}", ha="center", va="bottom", color=INK, fontsize=8.5
            )
            axes.text(
                across,
                down + 0.04,
                f"{told['gain']:+.0f}",
                ha="center",
                va="top",
                color=INK,
                fontsize=7,
                fontweight=weight,
            )
            if task == one.cell.task:
                axes.add_patch(_frame(across, down))
    axes.set_xticks(range(len(tasks)), tasks, fontsize=7.5)
    axes.set_yticks(range(len(rows)), [one.cell.dataset for one, *_ in rows], fontsize=7.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _frame(across: int, down: int) -> Rectangle:
    return Rectangle((across - 0.47, down - 0.46), 0.94, 0.92, fill=False, edgecolor=INK, linewidth=1.2)
