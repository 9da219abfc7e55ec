"""Lay out a folder to run the workflow in: Snakefile, rules, profiles and configurations.

Example::

    embedgrad init replication
    cd replication
    snakemake --cores 2 --configfile config/demo.yaml
"""

import argparse
import shutil
from importlib.metadata import version
from pathlib import Path

from embedgrad.commands.output import plain_line
from embedgrad_core.files import UserError, whole_folder

HELP = "lay out a folder to run the workflow in"
PACKAGE = Path(__file__).resolve().parents[1]
BROUGHT = ("Snakefile", "config", "workflow")
# The rules name this file for `snakemake --software-deployment-method conda`.
ENVIRONMENT = """name: embedgrad
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - pip:
      - embedgrad=={version}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument("folder", type=Path, help="a new or empty folder")


def run(arguments: argparse.Namespace) -> None:
    """Copy what the package brings, whole or not at all."""
    source = brought()
    with whole_folder(arguments.folder) as folder:
        for name in BROUGHT:
            if (source / name).is_dir():
                shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source / name, folder / name)
        (folder / "profiles").symlink_to(Path("workflow", "profiles"))  # where Snakemake looks, beside the Snakefile
        text = ENVIRONMENT.format(version=version("embedgrad"))
        (folder / "environment.yml").write_text(text, encoding="utf-8")
    plain_line(f"{arguments.folder}: ready; cd there and run `snakemake --cores 2 --configfile config/demo.yaml`")


def brought() -> Path:
    """The folder with the workflow's files: the wheel's, or the checkout that this package is installed from.

    Raises:
        UserError: the package was installed without them.
    """
    for place in (PACKAGE / "bundle", PACKAGE.parent):
        if all((place / name).exists() for name in BROUGHT):
            return place
    raise UserError("this installation does not bring the workflow; install the wheel, or work in a checkout.")
