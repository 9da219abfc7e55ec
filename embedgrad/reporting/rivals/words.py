"""The table of methods for people."""

from collections.abc import Iterator, Sequence

from embedgrad.reporting.typeset import markdown_table, short_count, short_p

LEGEND = (
    "EmbedGrad: its rate chosen as the other methods' are, where the null control prompt_tuning_text was run; beside it the run's "
    "own at the configured rate. Best untrained: the rung of the ladder of baselines that did best on dev, where that is not a row "
    "of its own. "
    "Right: of all seeds. Δ: percentage points more than EmbedGrad on the same items, with its 95 % interval and p: of several "
    "seeds by a mixed model with items and seeds as crossed random effects, as in Table 2, of one by Newcombe's interval and "
    "McNemar's exact test; Holm's correction over the methods of a cell. Seeds: lowest and highest accuracy. Rate: chosen on dev, "
    "* at the edge of the grid, † at its best on dev in the last epoch allowed (of any seed). "
    "ms a token ×: the time of a token over the text prompt's, one row at a time, after the first."
)

HEADER = [
    "method",
    "right",
    "accuracy",
    "seeds",
    "Δ to EmbedGrad",
    "p (Holm)",
    "rate",
    "parameters",
    "fit CPU s",
    "positions",
    "calls",
    "ms a token ×",
]


def markdown(rows: Sequence[dict]) -> str:
    """The table for people, a block a cell."""
    told = (f"**{cell}**\n\n{markdown_table(header, lines, ['method'])}" for cell, header, lines in blocks(rows))
    return "\n\n".join([*told, LEGEND]) + "\n"


def blocks(rows: Sequence[dict]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """The name of each cell, what stands above its columns, and a line of texts a method."""
    for cell in dict.fromkeys((row["dataset"], row["model"]) for row in rows):
        mine = [row for row in rows if (row["dataset"], row["model"]) == cell]
        lines = [_line(row) for row in mine]
        yield " · ".join(cell), HEADER, lines


def _line(row: dict) -> list[str]:
    if row.get("reason"):
        return [row["method"], "–", row["reason"], *[""] * (len(HEADER) - 3)]
    marks = ("*" if row["rate_at_edge"] else "") + ("†" if row["at_epoch_cap"] else "")
    rate = marks if row["learning_rate"] is None else f"{row['learning_rate']:g}{marks}"
    delta = (
        "" if row.get("delta") is None else f"{row['delta']:+.1f} [{row['delta_low']:+.1f}, {row['delta_high']:+.1f}]"
    )
    span = f"{100 * row['lowest_accuracy']:.1f}-{100 * row['highest_accuracy']:.1f}" if row["seeds"] > 1 else ""
    return [
        row["method"],
        f"{row['correct']}/{row['n'] * row['seeds']}",
        f"{100 * row['accuracy']:.1f} [{100 * row['accuracy_low']:.1f}, {100 * row['accuracy_high']:.1f}]",
        span,
        delta,
        "" if row.get("p_holm") is None else short_p(row["p_holm"]),
        rate,
        short_count(row["trained_parameters"]),
        "" if row["fit_cpu_seconds"] is None else f"{row['fit_cpu_seconds']:.0f}",
        "" if row["positions"] is None else f"{row['positions']:.0f}",
        f"{row['calls']:.3g}",
        "" if row.get("token_ratio") is None else f"{row['token_ratio']:.2f}",
    ]
