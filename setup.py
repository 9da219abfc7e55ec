"""What pyproject.toml cannot say: the wheel brings the workflow and its configurations, for ``embedgrad init``."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
BROUGHT = ("Snakefile", "config", "workflow")


class BuildWithWorkflow(build_py):
    """Puts the workflow's files beside the package's own, in ``embedgrad/bundle``."""

    def run(self) -> None:
        """As usual, and the copy; an editable install uses the checkout's own."""
        super().run()
        if self.editable_mode:
            return
        bundle = Path(self.build_lib, "embedgrad", "bundle")
        for name in BROUGHT:
            place = ROOT / name
            if place.is_dir():
                shutil.copytree(place, bundle / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                bundle.mkdir(parents=True, exist_ok=True)
                shutil.copy(place, bundle / name)


setup(cmdclass={"build_py": BuildWithWorkflow})
