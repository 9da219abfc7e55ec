"""The analyses of a run side by side: ladder, prompts, entropy-accuracy correlation, protocol recovery."""

import argparse

from embedgrad.commands.checked import output_file
from embedgrad.commands.output import plain_line
from embedgrad.commands.table2 import add_table_arguments, seeds_from
from embedgrad_core.files import write_whole

HELP = "analyses of all cells as tables"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Inputs and outputs."""
    add_table_arguments(parser)
    parser.add_argument("--ladder", type=output_file, required=True, help="CSV")
    parser.add_argument("--prompts", type=output_file, required=True, help="CSV")
    parser.add_argument("--correlation", type=output_file, required=True, help="CSV of one line")
    parser.add_argument("--spread", type=output_file, required=True, help="CSV: gain over seeds and items")
    parser.add_argument("--recovery", type=output_file, required=True, help="CSV: protocols by likelihood")
    parser.add_argument("--recovery-axes", type=output_file, help="CSV: each choice of the protocol by itself")
    parser.add_argument(
        "--against-best", type=output_file, help="Markdown: each cell against the best rung without training"
    )
    parser.add_argument("--limits", type=output_file, help="CSV: accuracy over the token limit")


def run(arguments: argparse.Namespace) -> None:
    """Collect and write."""
    from embedgrad.reporting import analyses, recovery
    from embedgrad.reporting.ladder import ladder_markdown, ladder_rows, two_decimals
    from embedgrad.reporting.results.cells import read_cells
    from embedgrad.reporting.results.collected import collect, weights_notes

    outcomes = collect(read_cells(arguments.cell_table), arguments.results, seeds_from(arguments))
    ladder, prompts = (
        ladder_rows(outcomes, arguments.results),
        analyses.prompt_rows(outcomes, arguments.results),
    )
    found = analyses.correlation(outcomes)
    analyses.write_rows(two_decimals(ladder), arguments.ladder)
    if arguments.against_best:
        with write_whole(arguments.against_best) as temporary:
            temporary.write_text(ladder_markdown(ladder, weights_notes(outcomes)), encoding="utf-8")
    analyses.write_rows(prompts, arguments.prompts)
    analyses.write_rows([found], arguments.correlation)
    analyses.write_rows(analyses.seed_rows(outcomes), arguments.spread)
    if arguments.limits:
        analyses.write_rows(analyses.limit_rows(outcomes, arguments.results), arguments.limits)
    protocols = recovery.rank(outcomes, arguments.results)
    analyses.write_rows(protocols, arguments.recovery)
    choices = recovery.axes(protocols)
    missing = recovery.left_out(outcomes, arguments.results)
    if arguments.recovery_axes:
        analyses.write_rows([*choices, *missing], arguments.recovery_axes)
    if protocols:
        named = [key for key in (*recovery.KEYS, *recovery.MORE) if key in protocols[0]]
        plain_line("likeliest protocol: " + ", ".join(f"{key} {protocols[0][key]}" for key in named))
        vague = dict.fromkeys(row["choice"] for row in choices if row["word"] == recovery.NOT_APART)
        if vague:
            plain_line(f"cannot be told apart by the printed numbers: {', '.join(vague)}")
    for row in missing:
        plain_line(f"not searched: {row['choice']}, {row['word']}")
    plain_line(
        f"ladder: {len(ladder)} cells; prompts: {len(prompts)}; correlation over {found['n']}: {found['pearson_r']}"
    )
