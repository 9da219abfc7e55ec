"""A quicker start of every job: what no command uses is not imported.

transformers imports scikit-learn, and with it pandas and half of SciPy, wherever that is installed (lm-eval needs it), for one
option of assisted generation: candidate_generator.py, `roc_curve`. No command generates that way, and the import is a third of
what a job does before its first line. So the command's own processes let that one module find no scikit-learn; whoever
imports embedgrad from Python gets transformers as it is.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

MODULE = "transformers.generation.candidate_generator"


class _WithoutScikitLearn(MetaPathFinder):
    """Finds nothing itself. Just before ``MODULE`` is imported, it sets what that module asks."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == MODULE:
            # Imported by then: MODULE's own package imports it.
            sys.modules["transformers.utils"].is_sklearn_available = lambda: False  # type: ignore[attr-defined]


def shorten() -> None:
    """For this process, before transformers is imported."""
    if not any(isinstance(finder, _WithoutScikitLearn) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutScikitLearn())
