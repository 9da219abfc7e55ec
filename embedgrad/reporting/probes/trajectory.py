"""The epochs of a longer run side by side: where overfitting starts."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embedgrad.reporting.figures.drawing import (
    ACCENT,
    AFTER,
    BEFORE,
    GREY,
    logarithmic,
    name_axes,
    panels,
    styled,
    title,
)
from embedgrad.reporting.results.probes import Probed, Ranged
from embedgrad_core.files import ANY, ANY_LIST, COUNT

TITLE = "Trajectory: where overfitting starts"
CAPTION = (
    "A run of its own over all epochs (Section 5.4), on the training items alone; nothing is chosen by it, and test is read for "
    "this report alone. Nothing is generated: accuracy is of the likeliest label (open answers have none), written the share of "
    "items whose target greedy decoding would write letter by letter, entropy Eq. 11 along the target. The line marks the lowest "
    "loss on dev, where early stopping would stop; rise is what the test loss lost from there to the last epoch. over_lowest: the "
    "test loss less that of the epoch where it is lowest, item by item, with Student's interval; an epoch whose interval holds 0 "
    "cannot be told from that one. Overfitting lies between the lowest epoch and the first from which no later one can be called "
    "level with it (shaded); where the last one can, none is seen. The lowest epoch is picked from the same items, which flatters "
    "it: where the loss only wavers, one run in six would look so."
)
_SPLIT = {"loss": float, "accuracy": (float,), "written": float, "entropy_bits": float}
_EPOCH = {
    "epoch": COUNT,
    "train_loss": (float,),
    "drift": float,
    "tokens_kept": COUNT,
    "nearest": {ANY: [str]},
    "dev": _SPLIT,
    "test": _SPLIT,
}
SHAPE = {
    "n": {"dev": COUNT, "test": COUNT},
    "positions": COUNT,
    "epochs": [_EPOCH],
    "best": COUNT,
    "test_best": COUNT,
    "over_lowest": [([(float,)],)],
    "level": ANY_LIST,
    "rises_from": (COUNT,),
    "rise": ([(float,)],),
}
# Shown in the table beside the best and the last one; the figure and the JSON file have all.
EPOCHS = (0, 1, 2, 3, 5, 10, 15)
COLOURS = {"train": GREY, "dev": BEFORE, "test": AFTER}
MEASURES = {"loss": "loss, nats", "accuracy": "accuracy", "entropy_bits": "entropy, bits", "drift": "drift"}
WORDS = 6
MOST_NAMED, PAPERS_EPOCHS = 4, 10
MOST_ROWS = 4  # cells with all measures; of more, entropy and drift are left to the table


def fault(values: dict) -> str | None:
    """The key at which a result is impossible."""
    epochs = values["epochs"]
    if [row["epoch"] for row in epochs] != list(range(len(epochs))) or len(epochs) < 2:
        return "epochs"
    if any(len(words) != 2 for row in epochs for words in row["nearest"].values()):
        return "nearest"
    sizes = {"over_lowest": len(epochs), "rise": 3}
    wrong = {
        **{key: values[key] >= len(epochs) for key in ("best", "test_best")},
        **{key: values[key] is not None and len(values[key]) != size for key, size in sizes.items()},
        "level": any(epoch not in range(len(epochs)) for epoch in values["level"]),
        "rises_from": not values["test_best"] < (values["rises_from"] or len(epochs)) <= len(epochs),
    }
    wrong["over_lowest"] |= any(
        (one is None) != (epoch == values["test_best"]) or len(one or "abc") != 3
        for epoch, one in enumerate(values["over_lowest"])
    )
    return next((key for key, is_wrong in wrong.items() if is_wrong), None)


def lines(values: dict) -> list[dict]:
    """Some epochs; the words are those that positions stand nearest to in place of their own."""
    epochs, table = values["epochs"], []
    for row in epochs:
        epoch = row["epoch"]
        if epoch not in (*EPOCHS, values["best"], values["test_best"], values["rises_from"], epochs[-1]["epoch"]):
            continue
        line = {"epoch": epoch, "lowest_on": _lowest(values, epoch)}
        line["train_loss"] = None if row["train_loss"] is None else round(row["train_loss"], 3)
        for split in ("dev", "test"):
            found = row[split]
            line |= {f"{split}_loss": round(found["loss"], 3), f"{split}_%": _percent(found["accuracy"])}
            line |= {f"{split}_written_%": _percent(found["written"]), f"{split}_bits": round(found["entropy_bits"], 3)}
        if over := values["over_lowest"][epoch]:
            line["test_loss_over_lowest"] = Ranged.of(over[0], over[1:])
        line |= {"drift": round(row["drift"], 3), "tokens_kept": f"{row['tokens_kept']} of {values['positions']}"}
        line["nearest"] = _words(row["nearest"])
        table.append(line)
    if values["rise"]:
        table[-1]["test_loss_rise"] = Ranged.of(values["rise"][0], values["rise"][1:])
    table[-1]["overfitting_between"] = _between(values) or "not seen"
    table[-1]["level_with_lowest"] = ", ".join(map(str, values["level"])) or "none"
    return table


def _lowest(values: dict, epoch: int) -> str | None:
    return ", ".join(split for split, key in (("dev", "best"), ("test", "test_best")) if values[key] == epoch) or None


def _between(values: dict) -> str | None:
    """The epochs between which overfitting starts; None where it is not seen."""
    return None if values["rises_from"] is None else f"{values['test_best']} and {values['rises_from']}"


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _words(nearest: dict) -> str:
    """``old→new`` of the first positions that changed."""
    shown = [f"{old.strip()}→{new.strip()}" for old, new in list(nearest.values())[:WORDS]]
    more = len(nearest) - len(shown)
    return " ".join(shown) + (f" and {more} more" if more else "")


def sentence(found: Sequence[Probed]) -> str:
    """On how many cells overfitting can be seen, and between which epochs it starts."""
    cells = {one.cell.name: one.values for one in found if one.values}
    seen = {name: between for name, values in cells.items() if (between := _between(values))}
    last = max(values["epochs"][-1]["epoch"] for values in cells.values())
    if not seen:
        return (
            f"On no cell of {len(cells)} does the test loss of epoch {last} lie above that of the lowest epoch by its paired "
            "interval."
        )
    listed = "; ".join(f"{between} on {name}" for name, between in list(seen.items())[:MOST_NAMED])
    more = " …" if len(seen) > MOST_NAMED else ""
    late = sum(cells[name]["test_best"] >= PAPERS_EPOCHS for name in seen)
    return (
        f"On {len(seen)} of {len(cells)} cells overfitting is seen by epoch {last}: it starts between the epochs {listed}{more}, "
        "the one of the lowest test loss and the one from which all later ones lie above it by paired intervals. On "
        f"{late} of them the lowest is the last of the paper's {PAPERS_EPOCHS} epochs or later."
    )


@styled()
def figure(found: Sequence[Probed]) -> Figure:
    """A row of panels per cell, or three cells a row with loss and accuracy alone, where there are many."""
    many = len(found) > MOST_ROWS
    measures = {name: MEASURES[name] for name in list(MEASURES)[: 2 if many else None]}
    columns, height = (3 * len(measures), 1.65) if many else (len(measures), 2.2)
    rows = -(-len(found) * len(measures) // columns)
    drawn = Figure(figsize=(2.6 * columns if not many else 12.6, 0.7 + height * rows))
    margins = (0.55, 0.15, 0.6, 0.6)
    axes = list(panels(drawn, len(found) * len(measures), columns, margins, hspace=0.6, wspace=0.28))
    for row, one in enumerate(found):
        values = one.values or {}
        for place, (measure, words) in enumerate(measures.items()):
            here = axes[row * len(measures) + place]
            _panel(here, values, measure)
            # The cell's name has a line for itself, where it may reach over the next panel.
            title(here, words if place else f"{one.cell.name}\n{words}")
    handles = [*axes[0].get_lines()[:3]]
    drawn.legend(handles, list(COLOURS), loc="upper center", ncols=3, frameon=False, fontsize=8)
    name_axes(drawn, "epoch (dotted: likeliest label, dashed: written as trained)", "")
    return drawn


def _panel(axes: Axes, values: dict, measure: str) -> None:
    rows = values["epochs"]
    across = [row["epoch"] for row in rows]
    if measure == "loss":
        known = [(row["epoch"], row["train_loss"]) for row in rows if row["train_loss"] is not None]
        axes.plot(*zip(*known, strict=True), color=COLOURS["train"], linewidth=1.2)
    if measure == "drift":
        axes.plot(across, [row["drift"] for row in rows], color=ACCENT, linewidth=1.2)
    for split in ("dev", "test") if measure != "drift" else ():
        style = ":" if measure == "accuracy" else "-"
        shown = [row[split][measure] for row in rows]
        if None not in shown:
            axes.plot(across, shown, color=COLOURS[split], linewidth=1.4, linestyle=style)
        if measure == "accuracy":
            written = [row[split]["written"] for row in rows]
            axes.plot(across, written, color=COLOURS[split], linewidth=1, linestyle="--")
    if measure == "loss" and all(row[split]["loss"] > 0 for row in rows for split in ("dev", "test")):
        logarithmic(axes, (1, 2, 5))  # epoch 0, before any format, would flatten all others
    axes.axvline(values["best"], color=GREY, linewidth=0.8)
    if values["rises_from"] is not None:
        axes.axvspan(values["test_best"], values["rises_from"], color=ACCENT, alpha=0.15, linewidth=0)
