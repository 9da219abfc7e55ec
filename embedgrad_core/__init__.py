"""The method: improve a prompt's embeddings by gradient while the language model stays frozen.

Knows torch and transformers; knows no data set, no answer checker and no workflow. Names are imported on first use, so
that :mod:`embedgrad_core.costs` can be had without torch.
"""

import sys
from importlib import import_module
from types import ModuleType

from embedgrad_core.spinning import limit_spinning

# Here, as whatever computes comes through this package and torch is imported after it.
limit_spinning()

_HOMES = {
    "Decoded": "decode",
    "FrozenModel": "model",
    "Layout": "layout",
    "LoopRule": "loops",
    "PromptEmbedding": "prompt",
    "Settings": "optimize",
    "Slot": "layout",
    "check_step_zero": "gate",
    "decode": "decode",
    "load_model": "loading",
    "optimize": "optimize",
    "read_prompt_file": "prompt",
}
__all__ = [
    "Decoded",
    "FrozenModel",
    "Layout",
    "LoopRule",
    "PromptEmbedding",
    "Settings",
    "Slot",
    "check_step_zero",
    "decode",
    "load_model",
    "optimize",
    "read_prompt_file",
]


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # The import system would bind the files decode.py and optimize.py over the functions of these names.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{self.__name__}.{_HOMES[name]}"), name)
        setattr(self, name, value)
        return value


sys.modules[__name__].__class__ = _Package
