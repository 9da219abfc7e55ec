"""Keep of a run what a reader needs, small enough for version control: tables, figures, page, certificates, versions, times.

The answers, optimised prompts and analyses of all cells go into one archive, ``results.tar.xz``: unpacked in the checkout,
a run goes on from there, and its tables and page can be made again without a model.

    embedgrad keep --results results/laptop --figures figures/laptop --out docs/laptop
"""

import argparse
from pathlib import Path

from embedgrad.commands.checked import whole
from embedgrad.commands.output import aside, plain_line
from embedgrad.reporting.results.kept import ARCHIVE, kept_files, model_folders
from embedgrad_core.files import write_whole

HELP = "keep of a run what a reader needs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where, to where, how much."""
    parser.add_argument("--results", required=True, type=Path, help="results/<run>")
    parser.add_argument("--figures", required=True, type=Path, help="figures/<run>")
    parser.add_argument(
        "--split-runs", nargs="*", default=[], type=Path, help="results/<run> of other splits: into the archive, too"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder; its files of these names are written over")
    parser.add_argument("--most", type=whole(1), default=4_000_000, help="bytes in all, the archive aside")


def run(arguments: argparse.Namespace) -> None:
    """Collect; write."""
    files = kept_files(arguments.results, arguments.figures, arguments.most, arguments.split_runs)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        with write_whole(arguments.out / name) as temporary:
            temporary.write_bytes(data)
    runs = [arguments.results, *arguments.split_runs]
    for folder in sorted({folder for results in runs for folder in model_folders(results)}):
        aside(
            f"warning: what is kept names the folder {folder}; a run with a link to the mirror beside the Snakefile and "
            "--config mirror=LINK names only that"
        )
    archive = len(files.pop(ARCHIVE))
    size = sum(map(len, files.values()))
    plain_line(f"{arguments.out}: {len(files)} files of {size:,} bytes, and {ARCHIVE} of {archive:,}")
