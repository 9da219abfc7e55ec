"""The environments of rivals whose library does not fit the suite's own: which Python runs them, and what to do without it.

``adapters`` 1.3.0 asks for transformers 4.57, the suite for 5 (https://github.com/adapter-hub/adapters/issues/834). Such a rival
runs as a process of the other environment's Python, which holds the suite too; the core runs there unchanged.
"""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from embedgrad.rivals.rival import Rival
from embedgrad_core.files import UserError, reason_of

ROOT = Path(__file__).resolve().parents[2]


def interpreter_of(rival: Rival) -> Path:
    """The Python to run a rival with: this one, or that of the environment it needs.

    That is what ``EMBEDGRAD_<ENVIRONMENT>_PYTHON`` names, else ``.venv-<environment>`` beside the checkout.

    Raises:
        UserError: it is not there; says how it is made.
    """
    if not rival.environment:
        return Path(sys.executable)
    named = os.environ.get(_variable(rival))
    python = Path(named) if named else ROOT / f".venv-{rival.environment}" / "bin" / "python"
    if not (python.is_file() and os.access(python, os.X_OK)):
        raise UserError(
            f"rival {rival.name} needs an environment of its own, and there is no Python at {python}; {_how_to(rival)}."
        )
    return python


def check_library(rival: Rival) -> None:
    """Refuse a rival whose library is an extra that is not installed.

    Raises:
        UserError: it is not; says how it is.
    """
    libraries = [rival.library, "bitsandbytes" if rival.settings.get("quantisation") else ""]
    if missing := next((name for name in libraries if name and find_spec(name) is None), ""):
        raise UserError(
            f"rival {rival.name} needs {missing}, which is not installed: `make rivals`, or pip install -e '.[rivals]'."
        )


def in_own_environment(rival: Rival) -> None:
    """Become the rival's own Python where this is another one: the same command, in its place.

    Raises:
        UserError: its environment is not there.
    """
    python = interpreter_of(rival)
    # Not resolved: a link to the same Python is another environment.
    if Path(sys.executable).absolute() != python.absolute():
        sys.stdout.flush()
        os.execv(python, [str(python), "-m", "embedgrad", *sys.argv[1:]])
    if rival.environment:
        _know_newer_names()


def library_of(rival: Rival, name: str) -> Any:
    """The library of that name, imported.

    Raises:
        UserError: it is not installed, or does not fit what is: this Python is not of the rival's environment.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"rival {rival.name} runs in an environment of its own, and this Python ({sys.executable}) cannot import {name} "
            f"({reason_of(error)}); {_how_to(rival)}."
        ) from None


def _know_newer_names() -> None:
    """Transformers 5 saves a tokenizer that has no class of its own as TokenizersBackend; 4 has it as PreTrainedTokenizerFast."""
    transformers: Any = import_module("transformers")
    if not hasattr(transformers, "TokenizersBackend"):
        transformers.TokenizersBackend = transformers.PreTrainedTokenizerFast


def _variable(rival: Rival) -> str:
    return f"EMBEDGRAD_{rival.environment.upper()}_PYTHON"


def _how_to(rival: Rival) -> str:
    return f"`make {rival.environment}` makes it, or let {_variable(rival)} name its Python"
