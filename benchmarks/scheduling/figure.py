"""The figure of ``schedule.py``: time and utilisation over the number of GPUs, with and without shards."""

from argparse import Namespace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embedgrad.reporting.figures.drawing import AFTER, BEFORE, GREY, INK, LINK, save, styled

HOURS = (0.03125, 0.0625, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32)


def draw(whole: list[dict], shards: list[dict], arguments: Namespace, path: Path) -> None:
    """Two panels: hours from start to end beside what bounds them, and the part of the GPUs that works."""
    with styled():
        figure = Figure(figsize=(8.2, 3.7), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
        count = [row["gpus"] for row in whole]
        series = [
            ("jobs as they are", whole, BEFORE, "o"),
            (f"{', '.join(arguments.tasks).upper()} in {arguments.shards} shards, baselines too", shards, AFTER, "s"),
        ]
        left.plot(count, [whole[0]["gpu_seconds"] / 3600 / n for n in count], color=LINK, lw=1.2, zorder=1)
        for name, rows, colour, mark in series:
            hours = [row["makespan"] / 3600 for row in rows]
            left.plot(count, [row["bound"] / 3600 for row in rows], color=colour, lw=1, ls=(0, (2, 2)), zorder=2)
            left.plot(count, hours, mark, color=colour, ms=5.5, zorder=3, label=name)
            right.plot(count, [100 * row["utilisation"] for row in rows], f"{mark}-", color=colour, ms=5.5, lw=1.4)
            speed = whole[0]["makespan"] / rows[-1]["makespan"]
            left.annotate(
                f"{60 * hours[-1]:.0f} min\n{speed:.0f} times faster",
                (count[-1], hours[-1]),
                (8, 0),
                textcoords="offset points",
                va="center",
                color=colour,
                fontsize=8,
            )
        _scale(left, count)
        left.set_xlim(0.8 * count[0], 4.5 * count[-1])  # room for the labels at the end
        left.set_yscale("log")
        drawn = [row["makespan"] / 3600 for row in (*whole, *shards)]
        low, high = 0.7 * min(drawn), 4 * max(drawn)  # the legend stands above
        ticks = [hours for hours in HOURS if low <= hours <= high]
        left.set_yticks(ticks, [f"{h:g} h" if h >= 1 else f"{60 * h:g} min" for h in ticks])
        left.minorticks_off()
        left.set_ylim(low, high)
        left.set_title("Time from start to end", loc="left", fontsize=9.5, color=INK)
        left.plot([], [], color=GREY, lw=1, ls=(0, (2, 2)), label="bound: work a GPU, longest chain")
        left.plot([], [], color=LINK, lw=1.2, label="ideal: work / GPUs")
        left.legend(framealpha=1, edgecolor="none", fontsize=8, loc="upper right", borderaxespad=0)
        _scale(right, count)
        right.set_ylim(0, 105)
        right.set_yticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        right.set_title("Part of the GPUs' time in use", loc="left", fontsize=9.5, color=INK)
        figure.suptitle(
            f"Table 2 × {arguments.seeds} seeds and the sweep on {arguments.gpu.upper()} GPUs: simulated from forecasts",
            fontsize=10,
            x=0.01,
            ha="left",
        )
        save(figure, path)


def _scale(axes: Axes, count: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(count, map(str, count))
    axes.set_xlabel("GPUs")
    axes.grid(axis="y", color="#EEEEEE", lw=0.8)
    axes.set_axisbelow(True)
