"""``embedgrad rival choose`` and ``embedgrad rival table``: what a run's fits and answers come to."""

import argparse
import shutil
from pathlib import Path

from embedgrad.commands.checked import output_file, whole
from embedgrad.commands.output import plain_line
from embedgrad_core.files import UserError, read_json, read_jsonl, write_json, write_whole


def add_choose_arguments(parser: argparse.ArgumentParser) -> None:
    """The fits to choose from."""
    parser.add_argument("--fits", nargs="+", required=True, type=Path, help="fitted rivals, with fit.jsonl beside them")
    parser.add_argument("--chosen", required=True, type=output_file, help="JSON: every rate with its loss on dev")
    parser.add_argument("--out", required=True, type=output_file, help="the chosen one, with its history and run file")


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, its cells and methods."""
    parser.add_argument("--cell-table", required=True, type=Path)
    parser.add_argument("--results", required=True, type=Path, help="results/<run>")
    parser.add_argument("--cells", required=True, nargs="+", metavar="DATASET/MODEL")
    parser.add_argument("--methods", required=True, nargs="+", metavar="NAME")
    parser.add_argument("--seeds", required=True, nargs="+", type=whole(0), help="of the methods")
    parser.add_argument(
        "--left-out",
        nargs=3,
        action="append",
        default=[],
        metavar=("DATASET/MODEL", "NAME", "REASON"),
        help="a method that does not apply to a cell",
    )
    parser.add_argument(
        "--list-missing", action="store_true", help="list methods whose results are not there in place of refusing"
    )
    parser.add_argument("--once", nargs="*", default=[], metavar="NAME", help="methods that have the first seed alone")
    parser.add_argument("--run-seeds", required=True, help="of EmbedGrad's own cells: 0,1,2 or 0,1,2;math500=0")
    parser.add_argument("--csv", required=True, type=output_file)
    parser.add_argument("--md", required=True, type=output_file)
    parser.add_argument("--figures", required=True, type=Path, help="folder for rivals_<axis>.png and .pdf")


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """A fit of the null control, and the run's own optimisation."""
    parser.add_argument("--fitted", required=True, type=Path, help="prompt_tuning_text at the configured rate")
    parser.add_argument("--history", required=True, type=Path, help="its fit.jsonl")
    parser.add_argument("--prompt", required=True, type=Path, help="the run's own prompt.safetensors, of the same seed")
    parser.add_argument("--prompt-history", required=True, type=Path, help="its optimize.jsonl")
    parser.add_argument(
        "--out", required=True, type=output_file, help="JSON: whether the two are equal, and by how much not"
    )


def check(arguments: argparse.Namespace) -> None:
    """Whether the null control is EmbedGrad; a control that differs is a result, and no error."""
    from embedgrad.rivals.control import check_control

    found = check_control(arguments.fitted, arguments.history, arguments.prompt, arguments.prompt_history)
    write_json(arguments.out, found)
    plain_line(
        f"{arguments.out}: the null control is {'equal to' if found['equal'] else 'APART from'} the run's EmbedGrad"
    )


def choose(arguments: argparse.Namespace) -> None:
    """By the lowest loss on dev; of equal ones the smaller rate. All of the chosen fit's files are copied.

    Raises:
        UserError: fits of several rivals, or one without rates or losses.
    """
    tried = []
    for fitted in arguments.fits:
        history, run = read_jsonl(fitted.with_name("fit.jsonl")), read_json(fitted.with_name("fit.run.json"))
        losses = [line.get("dev_loss") for line in history if line.get("may_win", True)]
        rate = (run.get("settings") or {}).get("learning_rate")
        best = min((loss for loss in losses if loss is not None), default=None)
        if rate is None or best is None:
            raise UserError(
                f"{fitted}: a fit of {run.get('rival')} without {'a learning rate' if rate is None else 'losses on dev'}; there is "
                "nothing to choose from."
            )
        tried.append({"learning_rate": rate, "dev_loss": best, "best_epoch": run["best_epoch"], "rival": run["rival"]})
    if len({one["rival"] for one in tried}) != 1:
        raise UserError(
            f"--fits: they are of {', '.join(sorted({one['rival'] for one in tried}))}; give fits of one rival."
        )
    place = min(range(len(tried)), key=lambda place: (tried[place]["dev_loss"], tried[place]["learning_rate"]))
    chosen, rates = tried[place], sorted(one["learning_rate"] for one in tried)
    at_edge = len(rates) > 1 and chosen["learning_rate"] in (rates[0], rates[-1])
    for name, out in (
        ("fit.jsonl", arguments.out.with_name("fit.jsonl")),
        ("fit.run.json", arguments.out.with_name("fit.run.json")),
        (arguments.fits[place].name, arguments.out),
    ):
        with write_whole(out) as temporary:
            shutil.copyfile(arguments.fits[place].with_name(name), temporary)
    write_json(arguments.chosen, {**chosen, "at_edge": at_edge, "tried": tried})
    plain_line(f"{chosen['rival']}: rate {chosen['learning_rate']:g}, dev loss {chosen['dev_loss']:.4g}")


def table(arguments: argparse.Namespace) -> None:
    """The comparison as table and figures."""
    from embedgrad.reporting.analyses import write_rows
    from embedgrad.reporting.figures.drawing import save
    from embedgrad.reporting.figures.rivals import AXES, scatter
    from embedgrad.reporting.latency import add_latency
    from embedgrad.reporting.results.cells import Seeds, read_cells
    from embedgrad.reporting.rivals.missing import missing
    from embedgrad.reporting.rivals.numbers import left_out_rows, numbers
    from embedgrad.reporting.rivals.words import markdown
    from embedgrad.reporting.untrained import read_entries

    wanted = [cell for cell in read_cells(arguments.cell_table) if f"{cell.dataset}/{cell.model}" in arguments.cells]
    run_seeds, seeds = Seeds(arguments.run_seeds), arguments.seeds
    methods = {name: seeds[:1] if name in arguments.once else seeds for name in arguments.methods}
    rows = []
    for cell in wanted:
        left_out = {name: why for of, name, why in arguments.left_out if of == f"{cell.dataset}/{cell.model}"}
        own = {name: its for name, its in methods.items() if name not in left_out}
        if arguments.list_missing:
            left_out |= missing(arguments.results, cell, own)
        own = {name: its for name, its in own.items() if name not in left_out}
        found = numbers(read_entries(cell, arguments.results, own, run_seeds.of(cell.task)))
        rows += [*found, *left_out_rows(found[0], left_out)]
    rows = add_latency(rows, arguments.results, arguments.seeds[0])
    write_rows(rows, arguments.csv)
    with write_whole(arguments.md) as temporary:
        temporary.write_text(markdown(rows), encoding="utf-8")
    for axis in AXES:
        save(scatter(rows, axis), *(arguments.figures / f"rivals_{axis}.{suffix}" for suffix in ("png", "pdf")))
    plain_line(f"{arguments.csv}: {len(rows)} rows")
