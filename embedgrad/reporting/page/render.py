"""The page itself: the template filled in; everything that is text gets escaped there."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from embedgrad.reporting.analyses import limit_rows
from embedgrad.reporting.figures.accuracy import before_after, training_curves
from embedgrad.reporting.figures.gain import entropy, gain
from embedgrad.reporting.figures.images import as_image
from embedgrad.reporting.figures.ladder import ladder, limits
from embedgrad.reporting.figures.lat import lat
from embedgrad.reporting.figures.prompt import anchoring
from embedgrad.reporting.ladder import headline, ladder_rows
from embedgrad.reporting.page import carried, collect, probes, rivals
from embedgrad.reporting.page.browser.answers import HALF_PAIR, browser
from embedgrad.reporting.results.cells import Cell, Seeds
from embedgrad.reporting.results.collected import Outcome, weights_notes
from embedgrad_core.files import UserError, write_whole

SCRIPTS = ("script.js", "browser/unpack.js", "browser/difference.js", "browser/browse.js")
HERE = Path(__file__).resolve().parent


def write_page(
    outcomes: Sequence[Outcome],
    cells: Sequence[Cell],
    folder: str | Path,
    path: str | Path,
    *,
    seeds: Seeds | Sequence[int] | None = None,
    command: str = "snakemake --cores 2 --config",
) -> None:
    """Write the report of a run; equal results give equal bytes.

    Args:
        outcomes: of all cells of the table, missing ones too.
        cells: the table.
        folder: ``results/<run>``.
        path: the page.
        seeds: of the run.
        command: how a single cell is made, up to ``cells=…``.

    Raises:
        UserError: a file of the run that cannot be read; names it.
    """
    folder = Path(folder)
    rungs = ladder_rows(outcomes, folder)
    lines = collect.table(outcomes, command, rungs)
    others, tables, answers = rivals.section(folder), collect.tables(folder), browser(outcomes, folder)
    styles = {"style.css": True, "rivals.css": others}
    style = "".join((HERE / name).read_text("utf-8") for name, wanted in styles.items() if wanted)
    script = "".join((HERE / name).read_text("utf-8") for name in (SCRIPTS if answers else SCRIPTS[:1]))
    template = environment().get_template("report.html.j2")
    text = template.render(
        run=folder.name,
        headline=collect.headline(outcomes),
        weights=weights_notes(outcomes),
        against_best=headline(rungs, sum(bool(outcome.metrics) for outcome in outcomes)),
        lines=lines,
        with_paper=any(cell.paper for cell in cells),
        with_best=any(line.get("best") for line in lines),
        figures=_figures(outcomes, cells, folder, rungs, seeds),
        rivals=others,
        probes=probes.section(outcomes, folder),
        carried=carried.section(folder),
        answers=answers,
        tables=tables,
        claims=next((place for place, one in enumerate(tables, start=1) if one["file"] == "claims.csv"), None),
        foldouts=[
            collect.foldout(outcome, folder, line)
            for outcome, line in zip(outcomes, lines, strict=True)
            if outcome.metrics
        ],
        style=Markup(style),
        script=Markup(script),
        script_hash=hash_of(script),
        style_hash=hash_of(style),
    )
    write_text(text, path)


def environment() -> jinja2.Environment:
    """The pages' templates; whatever is text gets escaped in them."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_text(text: str, path: str | Path) -> None:
    """Write a page, whole or not at all."""
    with write_whole(path) as temporary:
        # Half of a surrogate pair, which a model's answer may hold, is no character that a page can carry.
        Path(temporary).write_text(HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", text), encoding="utf-8")


def hash_of(text: str) -> str:
    """Of an inline element, as a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _figures(
    outcomes: Sequence[Outcome],
    cells: Sequence[Cell],
    folder: Path,
    rungs: Sequence[dict],
    seeds: Seeds | Sequence[int] | None,
) -> list[dict]:
    """Title, image and what to see; a figure that cannot be drawn says why in its place."""
    # Only cells that ran: a panel for each missing one says nothing that the table does not.
    ran = [outcome for outcome in outcomes if outcome.metrics]
    if not ran:
        return []

    def having(name: str) -> list[Cell]:
        return [one.cell for one in ran if any((home / f"{name}.json").exists() for _, home in one.homes(folder))]

    anchored, read = having("anchoring"), having("lat")
    wanted = [
        (True, "Before and after", lambda: before_after(ran), "Each cell's accuracy before and after with Wilson's 95 % "
         "intervals; hollow marks are the paper's. Intervals that overlap widely say little."),
        (rungs, "Against what needs no training", lambda: ladder(rungs), "Every rung without training beside before and "
         "optimised. The ringed rung did best on dev; the optimised prompt is held against it, item by item."),
        (True, "Where the gain comes from", lambda: gain(outcomes), "The change split exactly: answers that became readable, "
         "and answers that were readable and became right. Blue alone cannot be told from a gain of format."),
        (True, "Entropy", lambda: entropy(outcomes, folder), "Mean entropy of each answer's steps (Eq. 11). Loops are sure of "
         "themselves for another reason and are drawn apart."),
        (True, "Training", lambda: training_curves(ran, folder), "Loss on train and dev by epoch; epoch 0 is the text prompt. "
         "The marked epoch is the one kept."),
        (having("limits"), "Accuracy over the token limit", lambda: limits(limit_rows(outcomes, folder)), "Under smaller limits, "
         "read off the same answers; dashed: answers that ended by themselves. Where the two sides meet at a larger limit, the "
         "gain was the limit's."),
        (anchored, "Semantic anchoring", lambda: anchoring(anchored, folder, seeds), "Probability of each "
         "position's own token under softmax(v·Eᵀ), before, after, and moved as far at random. What a random move leaves "
         f"untouched is no finding.{_without(ran, anchored)}"),
        (read, "LAT", lambda: lat(read, folder, seeds), "Figure 3: change of activation by layer. "
         "The template's reader is LAT as its authors do it: pairs of the same content, positive against negative, read at the "
         "template's last token. The responses' reader sets emotional against robotic texts, which also differ in content and "
         "length. Grey: random directions, and prompts moved as far at random (of the template's reader at the last input token, "
         "else of the prompt's mean). Hollow marks: the direction does not separate held-out pairs in this layer. A change along "
         f"the template's direction is a lean to the positive or the negative, not more or less of a skill.{_without(ran, read)}"),
    ]  # fmt: skip
    return [{"title": title, "caption": caption, **_drawn(draw)} for there, title, draw, caption in wanted if there]


def _without(ran: Sequence[Outcome], drawn: Sequence[Cell]) -> str:
    """Cells that ran and are not in a figure, as the end of its caption."""
    missing = [outcome.cell.name for outcome in ran if outcome.cell not in drawn]
    return f" Not computed: {', '.join(missing)}." if missing else ""


def _drawn(draw: Callable[[], Figure]) -> dict:
    try:
        return {"image": as_image(draw()), "why": ""}
    except UserError as error:
        return {"image": None, "why": str(error)}
